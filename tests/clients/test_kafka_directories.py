"""One data directory, served by Apache Kafka 4.3 and by Milena in turn: nothing is converted, nothing is lost."""

import os
import re
import shutil
import time

import pytest

from harness import tools, wait, wire
from harness.clients import BY_NAME
from harness.kafka import Kafka
from harness.records import Record, contents, in_order

pytestmark = [pytest.mark.own_broker, pytest.mark.xdist_group("kafka-directories")]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
READERS = ["confluent-kafka 2.16.1", "kafka-python 3.0.12", "kcat 1.7.1", "Java client 4.3"]
ORDERS = 3


@pytest.fixture
def kafka():
    one = Kafka()
    yield one
    for client in BY_NAME.values():
        client.close(one.bootstrap)
    one.close()
    shutil.rmtree(one.root, ignore_errors=True)


class Written:
    """What was acknowledged, whoever served it."""

    def __init__(self):
        self.orders = []
        self.newest = {}

    def some(self, admin, tag, bulk=200):
        """Records in every codec, over all partitions, and one key after the other in a compacted topic."""
        for codec in CODECS:
            orders = [
                Record(f"{tag}-{codec}-{i}-{os.urandom(bulk).hex()}".encode(), key=b"k%d" % i, partition=i % ORDERS)
                for i in range(60)
            ]
            admin.produce("orders", orders, codec=codec, acks="all", idempotent=True)
            self.orders += orders
            states = [Record(f"{tag}-{codec}-{i}".encode(), key=b"key%d" % (i % 20)) for i in range(60)]
            admin.produce("States.v1", states, codec=codec, acks="all", idempotent=True)
            self.newest.update({record.key: record.value for record in states})

    def check(self, server, admin, readers=READERS):
        expected = contents(in_order(self.orders), "partition", "key", "value")
        for reader in readers:
            read = BY_NAME[reader].consume(
                server.bootstrap, "orders", partitions=range(ORDERS), count=len(expected), timeout=30
            )
            assert contents(in_order(read), "partition", "key", "value") == expected, reader
        states = self.read_states(server, admin)
        assert {record.key: record.value for record in states} == self.newest
        return states

    def read_states(self, server, admin):
        """All of the compacted topic. How many records that is, only who reads them knows."""
        end = admin.client.offsets(server.bootstrap, "States.v1", 0, "latest")
        read = admin.consume("States.v1", count=end, timeout=4)
        assert read[-1].offset == end - 1, "the newest record of a compacted topic stays"
        return read


def transactions(admin, tag):
    """Three that are committed, two that are aborted, the last one committed with an offset of group `exact`."""
    for number in range(5):
        values = [Record(b"%s-%d-%d" % (tag, number, i)) for i in range(3)]
        offsets = [["exact", "payments", 0, 10 * (number + 1)]]
        admin.client.driver(admin.bootstrap).call(
            "transaction",
            id="tests",
            topic="payments",
            records=[value.wire() for value in values],
            offsets=offsets,
            commit=number % 2 == 0,
        )
    return [b"%s-%d-%d" % (tag, number, i) for number in (0, 2, 4) for i in range(3)]


def fill(kafka, admin, written):
    admin.create("orders", partitions=ORDERS, segment_bytes=1 << 20, retention_ms=-1)
    admin.create("States.v1", cleanup_policy="compact", min_cleanable_dirty_ratio="0.01", segment_ms=1000)
    admin.create("payments", compression_type="lz4")
    admin.create("empty", partitions=2)
    admin.create("gone")
    admin.produce("gone", [Record(b"x")])
    admin.call("delete_topic", topic="gone")
    admin.call("create_partitions", topic="empty", total=4)
    written.some(admin, "kafka", bulk=5_000)
    admin.call("commit_alone", group="readers", topic="orders", partition=1, offset=42)
    return transactions(admin, b"kafka")


def topic_ids(server):
    text = tools.must("topics", "--bootstrap-server", server.bootstrap, "--describe")
    return dict(re.findall(r"Topic: (\S+)\s+TopicId: (\S+)\s+PartitionCount", text))


def sequences(server, batches, expected):
    """Sends each batch; the answers tell which of them the log knows already."""
    with wire.Connection(server.bootstrap) as connection:
        assert [connection.produce("empty", 0, batch) for batch in batches] == expected


def superseded(states):
    """How many records a compaction of all but the newest segment would take away."""
    older = [record.key for record in states if b"milena" in record.value]
    return len(older) - len(set(older))


def payments(server, expected):
    """What a consumer sees that reads committed records alone, and how many one sees that reads all."""
    read = BY_NAME[READERS[0]].consume(server.bootstrap, "payments", count=len(expected) + 1, timeout=3)
    assert contents(read, "value") == [(value,) for value in expected]


def test_there_and_back(kafka, start_broker, admin_of):
    written = Written()
    kafka.start()
    admin = admin_of(kafka)
    paid = fill(kafka, admin, written)
    with wire.Connection(kafka.bootstrap) as connection:
        producer = connection.init_producer_id()
    first, second, third = [wire.batch([b"a", b"b"], *producer, sequence) for sequence in (0, 2, 4)]
    sequences(kafka, [first], [(0, 0)])
    ids, metadata = topic_ids(kafka), kafka.data_dir / "__cluster_metadata-0"
    kafka.stop()
    untouched = {path.name: path.read_bytes() for path in metadata.iterdir()}

    # Milena serves what Kafka wrote.
    milena = start_broker(data_dir=kafka.data_dir, config={"log.cleaner.backoff.ms": 500})
    admin = admin_of(milena)
    assert topic_ids(milena) == ids
    assert admin.call("list_topics")["empty"] == 4
    assert admin.call("describe_config", topic="orders")["segment.bytes"][0] == str(1 << 20)
    assert admin.call("describe_config", topic="States.v1")["cleanup.policy"][0] == "compact"
    written.check(milena, admin, [*READERS, "console tools 4.3"])
    payments(milena, paid)
    assert admin.committed("readers", "orders", 1) == 42
    assert admin.committed("exact", "payments") == 50, "committed within a transaction"
    sequences(milena, [first, third, second], [(0, 0), (45, -1), (0, 2)])

    # It goes on where Kafka stopped, over new segments, a compaction and restarts.
    written.some(admin, "milena", bulk=5_000)
    admin.call("commit_alone", group="readers", topic="orders", partition=1, offset=77)
    admin.create("own")
    admin.produce("own", [Record(b"mine")])
    time.sleep(1.1)  # segment.ms
    written.some(admin, "more")
    wait.until(lambda: superseded(written.read_states(milena, admin)) == 0, 60, "a compaction")
    assert milena.restart() < 20
    written.check(milena, admin)
    assert milena.stop() == 0
    assert {path.name: path.read_bytes() for path in metadata.iterdir()} == untouched, "Kafka's own stay as they are"

    # Kafka serves what Milena wrote.
    admin.client.close(milena.bootstrap)
    kafka.start()
    admin = admin_of(kafka)
    wait.until(lambda: "orders" in admin.call("list_topics"), 60, "Kafka's topics")
    assert {name: id for name, id in topic_ids(kafka).items() if name in ids} == ids
    written.check(kafka, admin)
    payments(kafka, paid)
    assert admin.committed("readers", "orders", 1) == 77
    sequences(kafka, [second, third], [(0, 2), (0, 4)])
    strays = [path.name for path in kafka.data_dir.glob("own-0.*-stray")]
    assert len(strays) == 1, "a topic that Kafka does not know is set aside, with its records"
    written.some(admin, "again", bulk=5_000)
    admin.create("later", partitions=2)
    admin.call("alter_config", topic="orders", changes={"retention.ms": 86400000})
    admin.call("delete_topic", topic="empty")
    kafka.stop()
    # A short segment needs no index, and gets none from Milena; Kafka says that it makes one.
    errors = [line for line in kafka.errors() if "Could not find offset index file" not in line]
    assert not errors, "\n".join(errors)

    # And back: what Kafka did meanwhile is known, and what it had set aside is there again.
    milena.start()
    admin = admin_of(milena)
    topics = admin.call("list_topics")
    assert topics["later"] == 2 and "empty" not in topics
    assert admin.call("describe_config", topic="orders")["retention.ms"][0] == "86400000"
    assert contents(admin.consume("own", count=1), "value") == [(b"mine",)]
    written.check(milena, admin)


def test_a_directory_without_metadata(kafka, start_broker, admin_of):
    """Where Kafka's metadata log lies elsewhere, names and ids of the directories are all there is to know."""
    written = Written()
    kafka.start()
    paid = fill(kafka, admin_of(kafka), written)
    ids = topic_ids(kafka)
    kafka.stop()
    shutil.rmtree(kafka.data_dir / "__cluster_metadata-0")
    milena = start_broker(data_dir=kafka.data_dir)
    admin = admin_of(milena)
    assert topic_ids(milena) == ids
    assert admin.call("describe_config", topic="__consumer_offsets")["cleanup.policy"][0] == "compact"
    written.check(milena, admin, READERS[:1])
    payments(milena, paid)
    assert admin.committed("readers", "orders", 1) == 42
    assert "with default settings" in milena.output()


def test_one_at_a_time(kafka, start_broker, admin_of):
    kafka.start()
    with pytest.raises(RuntimeError, match="in use by another broker"):
        start_broker(data_dir=kafka.data_dir)
