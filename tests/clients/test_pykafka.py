"""What only PyKafka 2.8 does: simple consumers with a group, offsets of segments, its own defaults."""

import time

import pytest

from harness.clients import BY_NAME
from harness.records import Record, Seen, contents, numbered

PYKAFKA = [client for label, client in BY_NAME.items() if label.startswith("PyKafka")]
both = pytest.mark.parametrize("client", PYKAFKA, ids=lambda client: client.name.replace(" ", "-"))


@both
def test_a_simple_consumer_goes_on_from_its_commit(client, broker, admin, name):
    topic, group = admin.create(name), f"{name}-g"

    def read(count):
        answer = client.driver(broker.bootstrap).call(
            "simple_group", group=group, topic=topic, count=count, timeout_ms=15000
        )
        return contents([Seen.of(record) for record in answer], "value", "offset")

    admin.produce(topic, numbered(5))
    assert read(5) == [(f"r{i}".encode(), i) for i in range(5)]
    admin.produce(topic, numbered(5, "s"))
    client.close(broker.bootstrap)
    assert read(5) == [(f"s{i}".encode(), i + 5) for i in range(5)]
    assert admin.committed(group, topic) == 10


@both
def test_offsets_by_time_are_those_of_segments(client, broker, admin, name):
    """ListOffsets 0 answers with the segments that were written before a time, so in an hour the log's end."""
    topic, now = admin.create(name), int(time.time() * 1000)
    admin.produce(topic, [Record(b"x", timestamp=now - 1000)] * 3)
    assert client.offsets(broker.bootstrap, topic, 0, now + 3_600_000) == 3
    assert client.offsets(broker.bootstrap, topic, 0, now - 3_600_000) is None


@both
def test_a_large_topic_is_read_in_many_fetches(client, broker, admin, name):
    topic = admin.create(name)
    written = [Record(b"%d " % i + b"x" * 50_000) for i in range(60)]  # 3 MB, with fetches of 1 MB
    admin.produce(topic, written)
    read = client.consume(broker.bootstrap, topic, count=60, timeout=30)
    assert contents(read, "value", "offset") == [(record.value, i) for i, record in enumerate(written)]
