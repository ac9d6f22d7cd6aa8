"""A real Apache Kafka on a data directory of the test's choice: one KRaft node, broker and controller in one."""

import contextlib
import os
import re
import signal
import tempfile
from pathlib import Path

from . import tools, wait

SETTINGS = """
process.roles=broker,controller
node.id={node}
controller.quorum.voters={node}@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.num.partitions=5
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=500
log.initial.task.delay.ms=500
"""


class Kafka:
    """The server. Its output is kept in `log`."""

    def __init__(self, node=7):
        self.node = node
        self.root = Path(tempfile.mkdtemp(prefix="milena-kafka-"))
        self.data_dir = self.root / "data"
        self.log = self.root / "kafka.log"
        self.process = None
        self.port = None
        self.begun = 0

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self):
        self.port = wait.free_ports(2)
        properties = self.root / "server.properties"
        properties.write_text(
            SETTINGS.format(node=self.node, port=self.port, controller=self.port + 1, data=self.data_dir)
        )
        if not self.data_dir.exists():
            cluster = tools.must("java", "kafka.tools.StorageTool", "random-uuid").split()[-1]
            tools.must("java", "kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties)
        self.begun = len(self.output())
        with self.log.open("ab") as log:
            self.process = tools.spawn("java", "kafka.Kafka", properties, stdout=log, stderr=log)
        wait.until(self._serves, 90, "Apache Kafka", every=0.2)

    def _serves(self):
        assert self.process.poll() is None, self.output()[-4000:]
        return wait.answers(self.bootstrap)

    def stop(self):
        """SIGTERM, which it takes for a clean stop; ends once the last of its processes has."""
        self._signal(signal.SIGTERM)
        self.process.wait(60)
        wait.until(lambda: not self._lives(), 60, "the end of Apache Kafka", every=0.1)

    def _lives(self):
        try:
            os.killpg(self.process.pid, 0)
            return True
        except ProcessLookupError:
            return False

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def close(self):
        if self.process:
            self._signal(signal.SIGKILL)
            self.process.wait()

    def errors(self):
        """Lines of its output since the last start that tell of an error."""
        return [line for line in self.output()[self.begun :].splitlines() if re.search(r" (ERROR|FATAL) ", line)]
