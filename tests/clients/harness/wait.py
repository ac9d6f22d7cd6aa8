"""Waiting with a deadline: no test sleeps for a fixed time."""

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


def free_ports(count=1):
    """The first of `count` consecutive free ports of the loopback interface."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1]
        if first + count < 65000 and all(is_free(first + i) for i in range(count)):
            return first
    raise OSError("no free ports")


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
