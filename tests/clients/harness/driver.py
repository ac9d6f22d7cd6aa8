"""A client library in a process of its own, spoken to in lines of JSON (drivers/lines.py)."""

import json
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

DRIVERS = Path(__file__).resolve().parents[1] / "drivers"

# What a broker answers while it starts, and every client tries again: no leader or coordinator, or still loading.
RETRIABLE = {3, 5, 6, 14, 15, 16}


class ClientError(Exception):
    """What the client library raised: its class, Kafka's error code if it has one, and the message."""

    def __init__(self, answer):
        super().__init__(f"{answer['error']} (code {answer['code']}): {answer['message']}")
        self.kind, self.code, self.message = answer["error"], answer["code"], answer["message"]


class Driver:
    """One driver process. Calls are answered in order; a call that takes too long kills it."""

    def __init__(self, command, bootstrap, **hello):
        self._command = [str(part) for part in command]
        self._errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
        )
        self._rest = b""
        self.version = self.call("hello", bootstrap=bootstrap, **hello)

    def call(self, op, timeout=60, **arguments):
        request = {"op": op, **arguments}
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise AssertionError(f"the driver is gone:\n{self.errors()}") from None
        answer = json.loads(self._line(timeout, op))
        if "error" in answer:
            raise ClientError(answer)
        return answer["ok"]

    def _line(self, timeout, op):
        end = time.monotonic() + timeout
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                self._show_threads()
                self.kill()
                raise AssertionError(f"{op}: no answer within {timeout} s:\n{self.errors()}")
            more = self.process.stdout.read(1 << 16)
            if not more:
                raise AssertionError(f"{op}: the driver ended:\n{self.errors()}")
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    def _show_threads(self):
        """Where each thread of a Python driver is, and what its connections hold, goes to what it printed."""
        if "python" in self._command[0]:
            self.process.send_signal(signal.SIGUSR1)
        lines = []
        if shutil.which("ss"):
            lines = subprocess.run(["ss", "-tnpi"], stdout=subprocess.PIPE, check=False).stdout.split(b"\n")
        mine = f"pid={self.process.pid},".encode()
        shown = [b"\n".join(lines[at : at + 2]) for at, line in enumerate(lines) if mine in line]
        time.sleep(0.5)
        self._errors.seek(0, 2)
        self._errors.write(b"\n".join([b"", b"its connections:", *shown, b""]))
        self._errors.flush()

    def errors(self, most=6000):
        """The end of what the client library printed."""
        size = self._errors.seek(0, 2)
        self._errors.seek(max(0, size - most))
        return self._errors.read().decode(errors="replace")

    def kill(self):
        """kill -9: members in it say no goodbye."""
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            stream.close()
