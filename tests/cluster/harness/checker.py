"""The acknowledged-write checker: what was acknowledged must be there, whatever happened meanwhile."""
import collections
import threading
import time

from harness import machine
from harness.wait import until


class Checker:
    """Writes in the background to a topic from inside the cluster, and checks in the end."""

    def __init__(self, topic, bootstrap="demo-bootstrap:9092"):
        self.topic, self.bootstrap = topic, bootstrap
        self.acknowledged, self.times, self.trouble = [], [], []

    def __enter__(self):
        self.process = machine.start_inside(*machine.python("writer.py", self.bootstrap, self.topic))
        self.threads = [threading.Thread(target=self._read, daemon=True), threading.Thread(target=self._moan, daemon=True)]
        for thread in self.threads:
            thread.start()
        self.more(1, timeout=60)
        return self

    def _read(self):
        for line in self.process.stdout:
            self.acknowledged.append(line.strip())
            self.times.append(time.monotonic())

    def _moan(self):
        for line in self.process.stderr:
            self.trouble.append(line)

    def more(self, count=200, timeout=60):
        """Waits until so many more have been acknowledged."""
        target = len(self.acknowledged) + count
        until(f"{count} more records are acknowledged; {self.trouble[-3:]}", lambda: len(self.acknowledged) >= target, timeout)

    def longest_gap(self, since=0.0):
        """The longest time without an acknowledgement, in seconds."""
        times = [at for at in self.times if at >= since]
        return max((after - before for before, after in zip(times, times[1:])), default=0.0)

    def __exit__(self, kind, error, trace):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
        for thread in self.threads:
            thread.join(10)
        if kind is None:
            self.check()

    def check(self):
        """Every acknowledged record can be read, once."""
        read = machine.inside(*machine.python("reader.py", self.bootstrap, self.topic), timeout=150).split()
        missing = set(self.acknowledged) - set(read)
        assert not missing, f"{len(missing)} acknowledged records are lost, for example {sorted(missing)[:5]}"
        twice = [value for value, count in collections.Counter(read).items() if count > 1]
        unsure = {line.split(":")[0] for line in self.trouble}
        assert not set(twice) - unsure, f"records are there twice: {twice[:5]}"
