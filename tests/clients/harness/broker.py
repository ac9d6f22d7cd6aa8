"""The broker under test: the real binary, with a data directory of its own and a free port."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from . import wait, wire

REPOSITORY = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("MILENA_BROKER") or REPOSITORY / "target/release/milena-broker")
# A rebalance at once rather than after Kafka's three seconds for the first of a group.
QUICK_GROUPS = {"group.initial.rebalance.delay.ms": 0}


class Broker:
    """One broker process. Its output is kept in `log`, for the report of a failed test."""

    def __init__(self, config=None, arguments=(), data_dir=None, port=None, env=None):
        self.config = {**QUICK_GROUPS, **(config or {})}
        self.arguments = list(arguments)
        self.root = Path(tempfile.mkdtemp(prefix="milena-test-"))
        self.data_dir = Path(data_dir) if data_dir else self.root / "data"
        self.port = port or wait.free_ports(_brokers(self.arguments))
        self.env = env or {}
        self.log = self.root / "broker.log"
        self.process = None

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        settings = [part for name, value in self.config.items() for part in ("--config", f"{name}={value}")]
        return [str(BINARY), "--listen", self.bootstrap, "--data-dir", str(self.data_dir), *settings, *self.arguments]

    def start(self, timeout=20):
        """Starts it and waits for the first answer. Returns the seconds that took."""
        assert wait.is_free(self.port), f"another program listens on port {self.port}"
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.env}
            )
        wait.until(self._serves, timeout, f"the broker on {self.bootstrap}", every=0.002)
        return time.monotonic() - began

    def _serves(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the broker exited with {self.process.returncode}:\n{self.output()}")
        try:
            with wire.Connection(self.bootstrap, timeout=10) as connection:
                return connection.ask(wire.API_VERSIONS, 0, b"")
        except OSError:
            return False

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=30):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def restart(self, kill=False):
        self.kill() if kill else self.stop()
        return self.start()

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def resident_kib(self):
        """Resident memory now, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def segments(self, topic, partition=0):
        """The partition's segment files, oldest first. The folder's name may carry more than Kafka's."""
        found = [
            path
            for path in self.data_dir.rglob("*.log")
            if path.parent.name == f"{topic}-{partition}" and re.fullmatch(r"\d{20}", path.stem)
        ]
        return sorted(found, key=lambda path: int(path.stem))


class External:
    """A server that somebody else started (MILENA_TEST_BOOTSTRAP), Apache Kafka for example."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.port = int(bootstrap.rsplit(":", 1)[1])

    def output(self):
        return ""

    def close(self):
        pass


def _brokers(arguments):
    """How many ports a command line takes: one for each broker of the process."""
    return int(arguments[arguments.index("--brokers") + 1]) if "--brokers" in arguments else 1
