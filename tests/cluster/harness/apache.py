"""Three brokers of Apache Kafka on this machine, each broker and controller: the program that MILENA_KAFKA_TOOLS names."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from harness.wait import until

TOOLS = os.environ.get("MILENA_KAFKA_TOOLS")
PORT = 29092
CONFIG = "min.insync.replicas=2\noffsets.topic.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n"


class Apache:
    """The cluster, and what is done to its processes."""

    bootstrap = ",".join(f"127.0.0.1:{PORT + broker}" for broker in range(3))

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="apache-kafka-"))
        self.environment = {**os.environ, "KAFKA_PORT": str(PORT), "KAFKA_DIR": str(self.home), "KAFKA_CONFIG": CONFIG}
        self.processes, self.commands = {}, {}

    def tool(self, *arguments):
        return subprocess.run([TOOLS, *map(str, arguments)], env=self.environment, check=True, capture_output=True,
                              text=True, timeout=180).stdout

    def start(self):
        self.tool("start", 3)
        for broker in range(3):
            pid = int(self.tool("pid", broker + 1))
            self.processes[broker] = pid
            self.commands[broker] = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def create(self, topic, partitions):
        self.admin.create_topics([NewTopic(topic, partitions, 3)])[topic].result(60)
        until("it has leaders", lambda: self.is_whole(topic), 60)

    def is_whole(self, topic):
        """Every partition has a leader and three replicas in sync."""
        try:
            found = self.admin.list_topics(topic, timeout=5).topics[topic].partitions.values()
        except KafkaException:
            return False
        return bool(found) and all(one.leader >= 0 and len(one.isrs) == 3 for one in found)

    def leaders(self, topic):
        """Of each partition; Kafka's brokers are counted from 1."""
        return [one.leader - 1 for one in self.admin.list_topics(topic, timeout=5).topics[topic].partitions.values()]

    def kill(self, broker, away=0):
        """kill -9, and the start that a service manager does at once, or after so many seconds."""
        os.kill(self.processes[broker], signal.SIGKILL)
        self.start_again(broker, away)

    def stop(self, broker):
        """SIGTERM: it hands its leadership over and ends; then it is started again."""
        os.kill(self.processes[broker], signal.SIGTERM)
        self.start_again(broker)

    def start_again(self, broker, away=0):
        until("the process is gone", lambda: not Path(f"/proc/{self.processes[broker]}/exe").exists(), 60, every=0.02)
        time.sleep(away)
        with (self.home / f"{broker + 1}.log").open("ab") as log:
            again = subprocess.Popen(self.commands[broker], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True)
        self.processes[broker] = again.pid

    def pause(self, broker, seconds):
        os.kill(self.processes[broker], signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.processes[broker], signal.SIGCONT)

    def close(self):
        for pid in self.processes.values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(1)
        shutil.rmtree(self.home, ignore_errors=True)


def client(*arguments):
    """A driver beside the brokers."""
    command = [sys.executable, str(Path(__file__).parent.parent / "drivers" / "load.py"), *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            bufsize=1, start_new_session=True)
