"""kcat and Kafka's console tools as clients of the matrix."""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time

from . import tools
from .records import Seen

SEPARATOR = "\x1f"
NULL = "\x1enull"


class ProcessMember:
    """A group member that is a program printing one record a line."""

    def __init__(self, process, parse):
        self.process, self._parse = process, parse
        self._lines, self._lock = [], threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._lock:
                self._lines.append(line.rstrip("\n"))

    def drain(self):
        with self._lock:
            lines, self._lines = self._lines, []
        return [self._parse(line) for line in lines]

    def leave(self):
        """SIGTERM: these programs commit and leave the group; returns what they had read until then."""
        self._signal(signal.SIGTERM)
        self._reader.join(30)
        assert not self._reader.is_alive(), "the program did not end after SIGTERM"
        self.process.wait(10)
        return self.drain()

    def kill(self):
        self._signal(signal.SIGKILL)
        self._reader.join(10)
        self.process.wait(10)

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class Program:
    """What the programs have in common."""

    writes = frozenset()
    session = 6.0
    survives_outage = True

    def __init__(self, name, can):
        self.name, self.can = name, frozenset(can)

    def close(self, bootstrap=None):
        """Nothing stays open between two runs."""


def finish(process, wanted, parse, timeout):
    """Reads `wanted` records from a program's output, then ends it. Fewer come back if the time runs out."""
    member, seen, end = ProcessMember(process, parse), [], time.monotonic() + timeout
    try:
        while len(seen) < wanted and time.monotonic() < end and (process.poll() is None or member._reader.is_alive()):
            seen.extend(member.drain())
            time.sleep(0.02)
        return seen + member.drain()
    finally:
        member.kill()


def text(data):
    return None if data is None else data.decode()


def data(shown):
    return None if shown is None else shown.encode()


class Kcat(Program):
    """kcat, which is librdkafka with a command line."""

    writes = frozenset({"null", "headers", "partition"})
    survives_outage = False  # it ends when no broker can be reached

    def _spawn(self, *arguments):
        return subprocess.Popen(
            [tools.kcat(), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def produce(self, bootstrap, topic, records, acks=None, codec="none", idempotent=None):
        settings = []
        if acks is not None:
            settings += ["-X", f"acks={acks}"]
        if idempotent is not None:
            settings += ["-X", f"enable.idempotence={str(idempotent).lower()}"]

        def shape(record):
            return (record.partition, record.headers, record.key is None, record.value is None)

        for (partition, headers, no_key, no_value), group in itertools.groupby(records, shape):
            command = [tools.kcat(), "-b", bootstrap, "-P", "-t", topic, "-z", codec, *settings]
            if partition is not None:
                command += ["-p", str(partition)]
            for name, value in headers:
                command += ["-H", name if value is None else f"{name}={value.decode()}"]
            if not no_key:
                command += ["-K", SEPARATOR]
            if no_value:
                command += ["-Z"]
            lines = [("" if no_key else text(record.key) + SEPARATOR) + (text(record.value) or "") for record in group]
            done = subprocess.run(
                command, input="\n".join(lines) + "\n", text=True, capture_output=True, timeout=30, check=False
            )
            assert done.returncode == 0 and "failed" not in done.stderr, f"kcat: {done.returncode} {done.stderr}"
        return

    @staticmethod
    def parse(line):
        shown = json.loads(line)
        flat = shown.get("headers") or []
        return Seen(
            value=data(shown["payload"]),
            key=data(shown["key"]),
            topic=shown["topic"],
            partition=shown["partition"],
            offset=shown["offset"],
            timestamp=shown.get("ts"),
            timestamp_type={"create": 0, "logappend": 1}.get(shown.get("tstype"), -1),
            headers=tuple((name, data(value)) for name, value in zip(flat[::2], flat[1::2])),
        )

    def consume(self, bootstrap, topic, partitions=(0,), start="earliest", count=1, timeout=15):
        place = {"earliest": "beginning", "latest": "end"}.get(start, start)
        only = ["-p", partitions[0]] if len(partitions) == 1 else []
        process = self._spawn(
            "-b", bootstrap, "-C", "-t", topic, "-o", place, "-J", "-u", "-q", "-X", "check.crcs=true", *only
        )
        return finish(process, count, self.parse, timeout)

    def offsets(self, bootstrap, topic, partition, at):
        asked = {"earliest": -2, "latest": -1}.get(at, at)
        done = subprocess.run(
            [tools.kcat(), "-b", bootstrap, "-Q", "-t", f"{topic}:{partition}:{asked}"],
            text=True,
            capture_output=True,
            timeout=30,
            check=True,
        )
        found = int(re.search(r"offset (-?\d+)", done.stdout).group(1))
        return None if found < 0 else found

    def member(self, bootstrap, name, group, topic, auto_commit=True):
        settings = [
            "auto.offset.reset=earliest",
            "auto.commit.interval.ms=500",
            f"client.id={name}",
            "heartbeat.interval.ms=500",
            f"session.timeout.ms={int(self.session * 1000)}",
        ]
        return ProcessMember(
            self._spawn(
                "-b",
                bootstrap,
                *[part for one in settings for part in ("-X", one)],
                "-J",
                "-u",
                "-q",
                "-G",
                group,
                topic,
            ),
            self.parse,
        )


class Console43(Program):
    """kafka-console-producer and kafka-console-consumer of Kafka 4.3."""

    writes = frozenset({"null", "headers"})
    SHOWN = [
        "print.timestamp=true",
        "print.partition=true",
        "print.offset=true",
        "print.headers=true",
        "print.key=true",
        f"null.literal={NULL}",
        f"key.separator={SEPARATOR}",
        "headers.separator=,",
    ]

    def produce(self, bootstrap, topic, records, acks=None, codec="none", idempotent=None):
        settings = ["--compression-codec", codec] if codec != "none" else []
        if acks is not None:
            settings += ["--request-required-acks", acks]
        if idempotent is not None or acks not in (None, "all"):
            settings += ["--command-property", f"enable.idempotence={str(bool(idempotent)).lower()}"]
        reader = ["parse.key=true", f"key.separator={SEPARATOR}", f"null.marker={NULL}"]
        if any(record.headers for record in records):
            reader += ["parse.headers=true", "headers.delimiter=\x1d", "headers.separator=,"]
        lines = [self._line(record, "parse.headers=true" in reader) for record in records]
        done = tools.run(
            "console-producer",
            "--bootstrap-server",
            bootstrap,
            "--topic",
            topic,
            *settings,
            *[part for one in reader for part in ("--reader-property", one)],
            stdin="\n".join(lines) + "\n",
        )
        assert done.returncode == 0 and "ERROR" not in done.stderr, f"{done.stdout}\n{done.stderr}"
        return

    @staticmethod
    def _line(record, with_headers):
        def shown(field):
            return NULL if field is None else field.decode()

        headers = ",".join(f"{name}:{shown(value)}" for name, value in record.headers) or NULL
        return (headers + "\x1d" if with_headers else "") + shown(record.key) + SEPARATOR + shown(record.value)

    @staticmethod
    def parse(line):
        stamp, partition, offset, headers, key, value = line.split(SEPARATOR)
        kind, at = stamp.split(":")
        pairs = [] if headers == "NO_HEADERS" else [pair.split(":", 1) for pair in headers.split(",")]

        def content(shown):
            return None if shown == NULL else shown.encode()

        return Seen(
            value=content(value),
            key=content(key),
            partition=int(partition.split(":")[1]),
            offset=int(offset.split(":")[1]),
            timestamp=int(at),
            timestamp_type={"CreateTime": 0, "LogAppendTime": 1}.get(kind, -1),
            headers=tuple((name, content(field)) for name, field in pairs),
        )

    def _consumer(self, bootstrap, topic, *more):
        shown = [part for one in self.SHOWN for part in ("--formatter-property", one)]
        return tools.spawn(
            "console-consumer",
            "--bootstrap-server",
            bootstrap,
            "--topic",
            topic,
            *shown,
            *more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def consume(self, bootstrap, topic, partitions=(0,), start="earliest", count=1, timeout=15):
        where = ["--partition", partitions[0], "--offset", start] if len(partitions) == 1 else ["--from-beginning"]
        return finish(self._consumer(bootstrap, topic, *where), count, self.parse, timeout + 5)

    def offsets(self, bootstrap, topic, partition, at):
        answer = tools.must(
            "java",
            "org.apache.kafka.tools.GetOffsetShell",
            "--bootstrap-server",
            bootstrap,
            "--topic-partitions",
            f"{topic}:{partition}",
            "--time",
            at,
        )
        found = answer.strip().rsplit(":", 1)[-1]
        return int(found) if found.isdigit() else None

    def member(self, bootstrap, name, group, topic, auto_commit=True):
        settings = [
            "auto.commit.interval.ms=500",
            f"client.id={name}",
            "heartbeat.interval.ms=500",
            f"session.timeout.ms={int(self.session * 1000)}",
        ]
        return ProcessMember(
            self._consumer(
                bootstrap,
                topic,
                "--group",
                group,
                "--from-beginning",
                *[part for one in settings for part in ("--command-property", one)],
            ),
            self.parse,
        )


class Console11(Program):
    """The console producer and consumer of Kafka 1.1.0, the release of the newcomer's page."""

    def produce(self, bootstrap, topic, records, acks=None, codec="none", idempotent=None):
        settings = ["--compression-codec", codec] if codec != "none" else []
        if acks is not None:
            settings += ["--request-required-acks", acks]
        if idempotent is not None:
            settings += ["--producer-property", f"enable.idempotence={str(idempotent).lower()}"]
        if any(record.key is not None for record in records):
            settings += ["--property", "parse.key=true", "--property", f"key.separator={SEPARATOR}"]
            lines = [text(record.key) + SEPARATOR + text(record.value) for record in records]
        else:
            lines = [text(record.value) for record in records]
        done = tools.run(
            "1.1.0",
            "kafka.tools.ConsoleProducer",
            "--broker-list",
            bootstrap,
            "--topic",
            topic,
            *settings,
            stdin="\n".join(lines) + "\n",
        )
        assert done.returncode == 0 and "ERROR" not in done.stderr and "Error when sending" not in done.stderr, (
            f"{done.stdout}\n{done.stderr}"
        )
        return

    @staticmethod
    def parse(line):
        stamp, key, value = line.split(SEPARATOR)
        kind, at = stamp.split(":")

        def content(shown):
            return None if shown == "null" else shown.encode()

        return Seen(
            value=content(value),
            key=content(key),
            timestamp=int(at),
            timestamp_type={"CreateTime": 0, "LogAppendTime": 1}.get(kind, -1),
        )

    def _consumer(self, bootstrap, topic, *more):
        return tools.spawn(
            "1.1.0",
            "kafka.tools.ConsoleConsumer",
            "--bootstrap-server",
            bootstrap,
            "--topic",
            topic,
            "--property",
            "print.timestamp=true",
            "--property",
            "print.key=true",
            "--property",
            f"key.separator={SEPARATOR}",
            *more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def consume(self, bootstrap, topic, partitions=(0,), start="earliest", count=1, timeout=15):
        where = ["--partition", partitions[0], "--offset", start] if len(partitions) == 1 else ["--from-beginning"]
        return finish(self._consumer(bootstrap, topic, *where), count, self.parse, timeout + 5)

    def member(self, bootstrap, name, group, topic, auto_commit=True):
        settings = [
            "auto.commit.interval.ms=500",
            f"client.id={name}",
            "heartbeat.interval.ms=500",
            f"session.timeout.ms={int(self.session * 1000)}",
        ]
        return ProcessMember(
            self._consumer(
                bootstrap,
                topic,
                "--group",
                group,
                "--from-beginning",
                *[part for one in settings for part in ("--consumer-property", one)],
            ),
            self.parse,
        )
