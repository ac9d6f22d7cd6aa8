"""Cuts in the network: packets between two addresses vanish, as on a broken switch."""
import contextlib

from harness import machine

TABLE = """
table inet faults {
  chain forward { type filter hook forward priority -10; }
  chain input { type filter hook input priority -10; }
  chain output { type filter hook output priority -10; }
}
"""


def nft(*arguments, **options):
    return machine.inside("nft", *arguments, **options)


@contextlib.contextmanager
def between(address, others):
    """Nothing passes between the address and the others; connections that are open feel it, too."""
    rules = []
    for other in others:
        rules += [f"add rule inet faults forward ip saddr {one} ip daddr {two} drop"
                  for one, two in ((address, other), (other, address))]
    with applied(rules):
        yield


@contextlib.contextmanager
def from_api_server(address):
    """The API server is a process of the nodes' own network: pods reach it at 6443 of any address there."""
    with applied([f"add rule inet faults input ip saddr {address} tcp dport 6443 drop",
                  f"add rule inet faults output ip daddr {address} tcp sport 6443 drop"]):
        yield


@contextlib.contextmanager
def from_everything(address):
    """Nothing reaches the address, and nothing comes from it."""
    with applied([f"add rule inet faults {chain} ip {side} {address} drop"
                  for chain in ("forward", "input", "output") for side in ("saddr", "daddr")]):
        yield


@contextlib.contextmanager
def applied(rules):
    nft("-f", "-", input=TABLE + "\n".join(rules) + "\n")
    try:
        yield
    finally:
        # Two cuts at a time are rules of one table: only what was added goes.
        for chain in ("forward", "input", "output"):
            for line in nft("-a", "list", "chain", "inet", "faults", chain).splitlines():
                rule, mark, handle = line.strip().partition(" # handle ")
                if mark and any(is_rule(rule, chain, one) for one in rules):
                    nft("delete", "rule", "inet", "faults", chain, "handle", handle)


def is_rule(listed, chain, added):
    return added.removeprefix(f"add rule inet faults {chain} ") == listed


def heal():
    """No cut is left, whatever became of who made it."""
    nft("delete", "table", "inet", "faults", check=False)
