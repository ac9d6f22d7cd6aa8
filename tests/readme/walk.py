"""Goes one of the README's walks, as its reader would: in one folder, step by step."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import tools, venvs, wait

import page

BIN = Path(__file__).parent / "bin"
# Longest time that a step may take, in seconds.
STEP = 90
# Types a program of the page into a Python shell, which stays open: a producer sends in the background. The library's
# log goes to stderr, and says when a consumer listens.
FREE = "the shell is free"
TYPED = f"""
import logging, sys
logging.basicConfig(level=logging.DEBUG)
exec(compile(sys.argv[1], "page", "exec"))
logging.info("{FREE}")
sys.stdin.read()
"""
# What it says of each broker that it asks for records.
FETCHES = re.compile(r"Sending FetchRequest to node (\d+)")


class Output:
    """What a step prints, and which of its lines were expected already."""

    def __init__(self):
        self.file = tempfile.TemporaryFile("w+", errors="replace")
        self.matched = set()

    def text(self):
        self.file.seek(0)
        return self.file.read()

    def take(self, expected):
        """Whether a line that nobody took yet is as expected."""
        wanted = page.pattern(expected)
        for number, line in enumerate(self.text().splitlines()):
            if number not in self.matched and wanted.fullmatch(page.tidy(line)):
                self.matched.add(number)
                return True
        return False


class Walk:
    """One walk. `inside` is put before the page's Python programs, where they do not run here; they consume from so
    many brokers."""

    def __init__(self, folder, inside=(), brokers=1):
        self.folder, self.inside, self.brokers = folder, list(inside), brokers
        self.running, self.fresh = [], []
        self.environment = {
            **tools.environment(),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHON": sys.executable,
        }

    def go(self, blocks):
        try:
            for block in blocks:
                {"sh": self.shell, "python": self.python, "text": self.expect}[block.language](block)
        finally:
            for process, _, _ in reversed(self.running):
                end(process, signal.SIGTERM)

    def shell(self, block):
        if block.text.startswith("cargo run"):
            self.stop_broker()
        process, output = self.start(block, ["bash", "-euo", "pipefail", "-c", block.text])
        if block.stays:
            return
        self.running.pop()
        self.fresh.append(output)
        try:
            status = process.wait(STEP)
        except subprocess.TimeoutExpired:
            end(process, signal.SIGKILL)
            status = f"nothing after {STEP} s"
        assert status == 0, f"{block.where}: {status}\n{block.text}\n{output.text()}"

    def python(self, block):
        log = Output()
        command = [*self.inside, str(venvs.python("kafka-python-3.0.12")), "-u", "-c", TYPED, block.text]
        process, _ = self.start(block, command, stdin=subprocess.PIPE, stderr=log.file)

        def done():
            if process.poll() is not None:
                raise RuntimeError(f"{block.where}: {process.returncode}\n{log.text()[-4000:]}")
            return self.listens(log.text()) if block.stays else FREE in log.text()

        wait.until(done, STEP, f"{block.where}: the {'consumer listens' if block.stays else 'program is through'}")

    def listens(self, log):
        return len(set(FETCHES.findall(log))) >= self.brokers

    def start(self, block, command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT):
        """Starts what runs to the end of the walk, unless it is stopped before."""
        output = Output()
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=stdin,
            stdout=output.file,
            stderr=stderr,
            start_new_session=True,
        )
        self.running.append((process, output, block))
        return process, output

    def stop_broker(self):
        """Ctrl-C, if a broker runs."""
        for entry in [entry for entry in self.running if entry[2].text.startswith("cargo run")]:
            self.running.remove(entry)
            assert end(entry[0], signal.SIGINT) == 0, f"{entry[2].where}: stopped, but not well\n{entry[1].text()}"

    def expect(self, block):
        """Each line must have been printed, or be printed soon by what stays."""
        outputs = [*self.fresh, *(output for _, output, _ in self.running)]
        for line in filter(str.strip, block.text.splitlines()):
            try:
                wait.until(lambda line=line: any(output.take(line) for output in outputs), 30, line)
            except wait.Deadline:
                seen = "\n".join(output.text() for output in outputs)
                raise AssertionError(f"{block.where}: nowhere\n  {line}\nbut\n{seen}") from None
        self.fresh.clear()


def end(process, how):
    """Ends a step that stays, with all that it started; its exit status."""
    if process.poll() is None:
        os.killpg(process.pid, how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode
