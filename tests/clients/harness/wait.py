"""Waiting with a deadline: no test sleeps for a fixed time."""

import os
import random
import re
import socket
import time


class Deadline(AssertionError):
    """What was waited for did not come in time."""


def until(check, timeout=30.0, what="the condition", every=0.05):
    """Calls check() until it returns something true, and returns that. The last AssertionError is reported."""
    end, last = time.monotonic() + timeout, None
    while True:
        try:
            found = check()
            if found:
                return found
            last = found
        except AssertionError as error:
            last = error
        if time.monotonic() > end:
            raise Deadline(f"{what}: not within {timeout:.0f} s; last seen: {last!r}")
        time.sleep(every)


# Below the ports that the kernel gives to outgoing connections: one of these may take a port that was free before
# the broker that it is for is up, or between two starts of it.
FIRST_PORT, LAST_PORT = 12000, 28000
WORKER_PORTS = 2000
_next_port = None


def free_ports(count=1):
    """The first of `count` consecutive ports of the loopback interface that nothing listens on, each given out once.

    Tests that run at the same time draw from ranges of their own.
    """
    global _next_port
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
    begin = FIRST_PORT + (worker * WORKER_PORTS) % (LAST_PORT - FIRST_PORT)
    end = begin + WORKER_PORTS
    if _next_port is None:
        _next_port = random.randrange(begin, end)
    for _ in range(WORKER_PORTS):
        first = _next_port if _next_port + count <= end else begin
        _next_port = first + count
        if all(is_free(first + i) for i in range(count)):
            return first
    raise OSError(f"no {count} free ports from {begin} to {end}")


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def answers(address):
    """Whether something accepts connections at host:port."""
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False
