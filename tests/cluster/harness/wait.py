"""Waiting for something to become true."""
import os
import time

# Limits are for a machine that is not busy. How long something took is noted and judged apart from them.
PATIENCE = float(os.environ.get("MILENA_TEST_PATIENCE", "3"))


def until(what, check, timeout=30.0, every=0.1):
    """The first true answer of `check`, with the seconds that it took in `until.took`."""
    begun, timeout = time.monotonic(), timeout * PATIENCE
    last = None
    while True:
        try:
            last = check()
            if last:
                until.took = time.monotonic() - begun
                return last
        except (LookupError, TypeError) as error:  # an object, or a field of it, that is not there yet
            last = error
        if time.monotonic() - begun > timeout:
            raise AssertionError(f"not within {timeout} s: {what}; at last {last!r}")
        time.sleep(every)


def steadily(what, check, seconds, every=0.5):
    """`check` stays true for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert check(), f"no longer so: {what}"
        time.sleep(every)
