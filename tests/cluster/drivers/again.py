"""Trying again, as applications do: what a client library gives up while a broker is away works a little later."""
import sys
import time

from kafka.errors import KafkaError


class Patience:
    """Tries what may fail until so many seconds are over."""

    def __init__(self, seconds):
        self.deadline = time.monotonic() + seconds

    def is_over(self):
        return time.monotonic() > self.deadline

    def __call__(self, what):
        """What it returns; a KafkaError is a reason to try again."""
        return self.until(lambda: (what(),))[0]

    def until(self, what):
        """The first answer that is not empty."""
        while True:
            try:
                found = what()
                if found:
                    return found
                failure = "it found nothing"
            except KafkaError as error:
                failure = error
            if self.is_over():
                sys.exit(f"given up: {failure!r}")
            time.sleep(0.1)
