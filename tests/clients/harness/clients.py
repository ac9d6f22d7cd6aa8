"""The clients of the matrix, behind one interface: produce, consume, offsets, group members."""

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from . import console, tools, venvs
from .driver import DRIVERS, Driver
from .records import Seen

# Column of the matrix -> what is shown when it is green.
FEATURES = {
    "records": "records, in order",
    "keys": "keys",
    "empty": "empty and null keys and values",
    "headers": "headers",
    "timestamps": "timestamps",
    "append-time": "LogAppendTime",
    "gzip": "gzip",
    "snappy": "snappy",
    "lz4": "lz4",
    "zstd": "zstd",
    "acks": "acks 0, 1, all",
    "idempotent": "idempotent producer",
    "limits": "offsets: earliest, latest",
    "by-time": "offsets by time",
    "resume": "group goes on from its commit",
    "rebalance": "group: join, leave, kill",
    "metadata": "commit metadata",
    "auto-create": "automatic creation",
    "cross": "reads what the others wrote",
}
EVERYTHING = frozenset(FEATURES)


class Member:
    """A group member in a driver process, alone there unless said otherwise."""

    def __init__(self, driver, name, alone=True):
        self.driver, self.name, self.alone = driver, name, alone

    def drain(self):
        """Records since the last call."""
        return self._records(self.driver.call("drain", name=self.name))

    def _records(self, answer):
        assert answer["error"] is None, f"member {self.name}: {answer['error']}\n{self.driver.errors()}"
        return [Seen.of(record) for record in answer["records"]]

    def commit(self, offsets, metadata=""):
        self.driver.call("commit", name=self.name, offsets=offsets, metadata=metadata)

    def leave(self):
        """Leaves the group in order; returns what it had read until then."""
        records = self._records(self.driver.call("leave", name=self.name))
        if self.alone:
            self.driver.close()
        return records

    def kill(self):
        self.driver.close()


class Library:
    """A client library behind a driver process, which is started when first used."""

    writes = frozenset({"null", "headers", "timestamps", "partition"})

    def __init__(self, name, command, lacks=(), session=6.0, survives_outage=True, **hello):
        self.name, self._command, self._hello = name, command, hello
        self.can = EVERYTHING - frozenset(lacks)
        self.session, self.survives_outage = session, survives_outage
        self._drivers = {}

    def open(self, bootstrap):
        return Driver([str(part) for part in self._command()], bootstrap, **self._hello)

    def driver(self, bootstrap):
        known = self._drivers.get(bootstrap)
        if known is None or known.process.poll() is not None:
            known = self._drivers[bootstrap] = self.open(bootstrap)
        return known

    def close(self, bootstrap=None):
        """Ends the driver for one server, or all."""
        for address in [bootstrap] if bootstrap else list(self._drivers):
            if address in self._drivers:
                self._drivers.pop(address).close()

    def produce(self, bootstrap, topic, records, **options):
        return self.driver(bootstrap).call(
            "produce", topic=topic, records=[record.wire() for record in records], **options
        )

    def consume(self, bootstrap, topic, partitions=(0,), start="earliest", count=1, timeout=15):
        answer = self.driver(bootstrap).call(
            "consume", topic=topic, partitions=list(partitions), start=start, count=count, timeout_ms=timeout * 1000
        )
        return [Seen.of(record) for record in answer]

    def offsets(self, bootstrap, topic, partition, at):
        return self.driver(bootstrap).call("offsets", topic=topic, partition=partition, at=at)

    def committed(self, bootstrap, group, topic, partition):
        """(offset, metadata) of the group's commit, or (None, None)."""
        return tuple(self.driver(bootstrap).call("committed", group=group, topic=topic, partition=partition))

    def member(self, bootstrap, name, group, topic, auto_commit=True):
        driver = self.open(bootstrap)
        driver.call(
            "join", name=name, group=group, topics=[topic], session_ms=int(self.session * 1000), auto_commit=auto_commit
        )
        return Member(driver, name)


def python(environment, script):
    return lambda: [venvs.python(environment), DRIVERS / script]


@functools.cache
def compiled():
    """The Java driver's class path, compiled once a session and machine."""
    sources = sorted((DRIVERS / "java").glob("*.java"))
    fingerprint = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    target = venvs.CACHE / "java" / fingerprint
    if not target.exists():
        made = Path(f"{target}.{os.getpid()}")
        subprocess.run(
            ["javac", "-nowarn", "-cp", f"{tools.libs()}/*", "-d", str(made), *map(str, sources)], check=True
        )
        try:
            made.rename(target)
        except OSError:
            shutil.rmtree(made)  # another worker was first
    return f"{target}:{tools.libs()}/*"


def java():
    return [
        "java",
        *tools.SHORT_LIVED.split(),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        compiled(),
        "Driver",
    ]


OLD_KAFKA_PYTHON = ("zstd", "idempotent")
# PyKafka takes the attribute bit of LogAppendTime for a codec that it does not know, writes metadata of its own
# with each commit, and finds offsets by time as those of segments (test_pykafka.py).
# Its members end when a broker closes their connection.
PYKAFKA = ("headers", "zstd", "idempotent", "metadata", "by-time", "append-time")
CLIENTS = [
    Library("kafka-python 3.0.12", python("kafka-python-3.0.12", "kafka_python.py")),
    Library("kafka-python 2.0.2", python("kafka-python-2.0.2", "kafka_python.py"), lacks=["idempotent"]),
    Library("kafka-python 1.4.7", python("kafka-python-1.4.7", "kafka_python.py"), lacks=OLD_KAFKA_PYTHON),
    Library(
        "kafka-python 1.3.5", python("kafka-python-1.3.5", "kafka_python.py"), lacks=["headers", *OLD_KAFKA_PYTHON]
    ),
    Library(
        "PyKafka 2.8.0",
        python("pykafka-2.8.0", "pykafka_driver.py"),
        lacks=[*PYKAFKA, "timestamps"],
        session=30,
        survives_outage=False,
    ),
    Library(
        "PyKafka 2.8.0 (2.0.0)",
        python("pykafka-2.8.0", "pykafka_driver.py"),
        lacks=PYKAFKA,
        session=30,
        survives_outage=False,
        broker_version="2.0.0",
    ),
    Library("confluent-kafka 2.16.1", python("confluent-kafka-2.16.1", "confluent.py")),
    Library("Java client 4.3", java),
    console.Kcat("kcat 1.7.1", EVERYTHING - {"metadata"}),
    console.Console43("console tools 4.3", EVERYTHING - {"metadata"}),
    console.Console11("console tools 1.1.0", EVERYTHING - {"headers", "zstd", "metadata", "by-time", "limits"}),
]
WITHOUT = [part for part in os.environ.get("MILENA_TEST_WITHOUT", "").split(",") if part]
CLIENTS = [client for client in CLIENTS if not any(part in client.name for part in WITHOUT)]
BY_NAME = {client.name: client for client in CLIENTS}


def close_all():
    for client in CLIENTS:
        client.close()
