"""The servers that are measured: Milena's binary, and Apache Kafka by the program that runs it."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from . import machine, wire

REPOSITORY = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("MILENA_BROKER") or REPOSITORY / "target/release/milena-broker")
KAFKA_TOOLS = os.environ.get("MILENA_KAFKA_TOOLS")
# Both delete what retention no longer keeps after seconds rather than minutes, or the disk would fill. The delay is set for
# brokers: a topic's own setting goes with the topic.
SETTINGS = {"log.retention.check.interval.ms": 5000, "log.segment.delete.delay.ms": 1000}
NAMES = itertools.count(1)


class Server:
    """Brokers of one kind. `name` is what the report calls them."""

    def __init__(self, port, brokers, home):
        self.port, self.brokers, self.home = port, brokers, home
        self.client = None

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def replicas(self):
        return self.brokers

    def cpu(self):
        return machine.cpu_seconds(self.pids())

    def resident(self):
        return machine.resident(self.pids())

    def admin(self):
        if self.client is None:
            self.client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self.client

    def create(self, partitions=1, timeout=60, **config):
        """A new topic on all brokers, once each of its partitions has a leader; its name."""
        topic = f"bench-{next(NAMES)}"
        settings = {name.replace("_", "."): str(value) for name, value in config.items()}
        new = NewTopic(topic, partitions, self.replicas, config=settings)
        self.admin().create_topics([new], operation_timeout=timeout)[topic].result(timeout)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            found = self.admin().list_topics(topic, timeout=10).topics[topic].partitions
            if len(found) == partitions and all(p.leader >= 0 for p in found.values()):
                return topic
            time.sleep(0.02)
        raise TimeoutError(f"{self.name}: {topic} has no leaders after {timeout} s")

    def delete(self, topic, timeout=60):
        """Deletes a topic, and waits until its files are gone and nothing waits for the disk: who is measured next does
        not pay for it."""
        try:
            self.admin().delete_topics([topic])[topic].result(30)
        except KafkaException as error:
            print(f"   {self.name}: {topic} cannot be deleted: {error}", flush=True)
            return
        end = time.monotonic() + timeout
        while self.keeps(topic):
            if time.monotonic() > end:
                print(f"   {self.name}: files of {topic} are still there after {timeout} s", flush=True)
                break
            time.sleep(0.1)
        os.sync()

    def keeps(self, topic):
        """Whether there are files of a topic. os.walk passes over directories that go while it looks."""
        found = (name for _, names, _ in os.walk(self.home) for name in names)
        return any(name.startswith(f"{topic}-") for name in found)


class Milena(Server):
    """The release binary, all brokers in one process."""

    name = "Milena"

    def __init__(self, port, brokers=1, home=None, config=None):
        super().__init__(port, brokers, Path(tempfile.mkdtemp(prefix="milena-bench-", dir=home)))
        self.config = {**SETTINGS, **(config or {})}
        self.process = None

    def start(self, timeout=60):
        """Starts it; the seconds from exec to the first answer."""
        command = [str(BINARY), "--listen", self.bootstrap, "--data-dir", str(self.home / "data")]
        command += ["--brokers", str(self.brokers)] if self.brokers > 1 else []
        command += [part for name, value in self.config.items() for part in ("--config", f"{name}={value}")]
        self.client = None
        began = time.monotonic()
        with (self.home / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wire.until_served(self.bootstrap, timeout, self.process)
        return time.monotonic() - began

    def pids(self):
        return [self.process.pid]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it in order, and leaves its data."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Kafka(Server):
    """Apache Kafka, by the program that MILENA_KAFKA_TOOLS names."""

    name = "Kafka"

    def __init__(self, port, brokers=1, home=None, config=None):
        super().__init__(port, brokers, Path(tempfile.mkdtemp(prefix="kafka-bench-", dir=home)))
        settings = {**SETTINGS, **(config or {})}
        self.environment = {
            **os.environ,
            "KAFKA_PORT": str(port),
            "KAFKA_DIR": str(self.home / "run"),
            "KAFKA_CONFIG": "\n".join(f"{name}={value}" for name, value in settings.items()),
        }
        self.running = []

    def tool(self, *arguments, **more):
        done = subprocess.run(
            [KAFKA_TOOLS, *map(str, arguments)], env=self.environment, capture_output=True, text=True, **more
        )
        if done.returncode:
            raise RuntimeError(f"{arguments[0]}: {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        return done.stdout

    def start(self, timeout=120):
        self.client = None
        began = time.monotonic()
        self.tool("start", self.brokers, timeout=timeout)
        self.running = [int(self.tool("pid", i + 1)) for i in range(self.brokers)]
        wire.until_served(self.bootstrap, timeout)
        return time.monotonic() - began

    def pids(self):
        return self.running

    def kill(self):
        for pid in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # A JVM is gone when its last thread is, and its ports with it.
        while any(wire.listens(f"127.0.0.1:{self.port + i}") for i in range(self.brokers)):
            time.sleep(0.01)

    def close(self):
        if self.running:
            self.kill()
        shutil.rmtree(self.home, ignore_errors=True)
