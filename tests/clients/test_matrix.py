"""What a record is made of, for each client: written by it, read by it."""

import time

import pytest

from harness.records import Record, contents, numbered

CODECS = ("gzip", "snappy", "lz4", "zstd")


def write(client, admin, needs, topic, records, **options):
    """Writes with the client if it can write such records, else with the administrator's."""
    writer = client if needs in client.writes else admin.client
    writer.produce(admin.bootstrap, topic, records, **options)


@pytest.mark.feature("records")
def test_records_come_back_in_order(client, broker, admin, name):
    topic, written = admin.create(name), numbered(50)
    client.produce(broker.bootstrap, topic, written)
    read = client.consume(broker.bootstrap, topic, count=50)
    assert contents(read, "value") == contents(written, "value")
    assert [record.offset for record in read] in (list(range(50)), [-1] * 50)
    assert contents(admin.consume(topic, count=50), "value", "offset") == [(f"r{i}".encode(), i) for i in range(50)]


@pytest.mark.feature("records")
def test_a_fetch_from_the_middle_of_a_batch(client, broker, admin, name):
    topic, written = admin.create(name), numbered(10)
    admin.produce(topic, written, codec="gzip")
    read = client.consume(broker.bootstrap, topic, start=7, count=3)
    assert contents(read, "value") == contents(written[7:], "value")


@pytest.mark.feature("keys")
def test_keys(client, broker, admin, name):
    topic = admin.create(name)
    written = [Record(b"one", key=b"first"), Record(b"two", key="zwölf".encode()), Record(b"three", key=b"first")]
    client.produce(broker.bootstrap, topic, written)
    for read in (client.consume(broker.bootstrap, topic, count=3), admin.consume(topic, count=3)):
        assert contents(read, "key", "value") == contents(written, "key", "value")


@pytest.mark.feature("empty")
def test_empty_and_null(client, broker, admin, name):
    topic = admin.create(name)
    written = [
        Record(b"", key=b"k"),
        Record(None, key=b"k"),
        Record(b"v", key=b""),
        Record(b"v", key=None),
        Record(b"", key=b""),
    ]
    write(client, admin, "null", topic, written)
    for read in (client.consume(broker.bootstrap, topic, count=5), admin.consume(topic, count=5)):
        assert contents(read, "key", "value") == contents(written, "key", "value")


@pytest.mark.feature("headers")
def test_headers(client, broker, admin, name):
    topic = admin.create(name)
    written = [Record(b"v", headers=(("a", b"1"), ("b", b""), ("a", b"2"))), Record(b"w")]
    write(client, admin, "headers", topic, written)
    for read in (client.consume(broker.bootstrap, topic, count=2), admin.consume(topic, count=2)):
        assert contents(read, "value", "headers") == contents(written, "value", "headers")


@pytest.mark.feature("timestamps")
def test_timestamps_of_the_producer_are_kept(client, broker, admin, name):
    topic, now = admin.create(name), int(time.time() * 1000)
    written = [Record(b"a", timestamp=now - 5000), Record(b"b", timestamp=now - 9000), Record(b"c", timestamp=now)]
    write(client, admin, "timestamps", topic, written)
    for read in (client.consume(broker.bootstrap, topic, count=3), admin.consume(topic, count=3)):
        assert contents(read, "value", "timestamp") == contents(written, "value", "timestamp")


@pytest.mark.feature("append-time")
def test_log_append_time(client, broker, admin, name):
    topic, before = admin.create(name, message_timestamp_type="LogAppendTime"), int(time.time() * 1000)
    write(client, admin, "timestamps", topic, [Record(b"a", timestamp=before - 86_400_000)])
    for read in (client.consume(broker.bootstrap, topic), admin.consume(topic)):
        assert before <= read[0].timestamp <= time.time() * 1000
        assert read[0].timestamp_type in (1, -1)


def codec_test(codec):
    @pytest.mark.feature(codec)
    def test(client, broker, admin, name):
        topic, filler = admin.create(name), b"to be compressed " * 20
        written = [Record(b"%d " % i + filler, key=b"k%d" % i) for i in range(200)]
        client.produce(broker.bootstrap, topic, written, codec=codec)
        for read in (client.consume(broker.bootstrap, topic, count=200), admin.consume(topic, count=200)):
            assert contents(read, "key", "value") == contents(written, "key", "value")

    test.__doc__ = f"200 records compressed with {codec}, read by the client itself and by another."
    return test


test_gzip, test_snappy, test_lz4, test_zstd = map(codec_test, CODECS)


@pytest.mark.feature("acks")
def test_acks(client, broker, admin, name):
    topic = admin.create(name)
    for acks in (0, 1, "all"):
        idempotent = False if "idempotent" in client.can and acks != "all" else None
        places = client.produce(broker.bootstrap, topic, numbered(5, f"{acks}-"), acks=acks, idempotent=idempotent)
        if acks == 0:
            # Nothing says when they have arrived, so the next ones are sent when they have.
            assert len(client.consume(broker.bootstrap, topic, count=5)) == 5
        elif places and places[0][1] is not None:
            assert [offset for _, offset in places] == list(range(5, 10) if acks == 1 else range(10, 15))
    read = admin.consume(topic, count=15)
    assert [record.value.decode() for record in read] == [f"{acks}-{i}" for acks in (0, 1, "all") for i in range(5)]


@pytest.mark.feature("idempotent")
def test_idempotent_producer(client, broker, admin, name):
    topic, written = admin.create(name), numbered(100)
    for part in range(0, 100, 25):
        client.produce(broker.bootstrap, topic, written[part : part + 25], acks="all", idempotent=True)
    read = admin.consume(topic, count=100)
    assert contents(read, "value", "offset") == [(record.value, i) for i, record in enumerate(written)]


@pytest.mark.feature("limits")
def test_earliest_and_latest(client, broker, admin, name):
    topic = admin.create(name)
    assert client.offsets(broker.bootstrap, topic, 0, "latest") == 0
    admin.produce(topic, numbered(7))
    assert client.offsets(broker.bootstrap, topic, 0, "earliest") == 0
    assert client.offsets(broker.bootstrap, topic, 0, "latest") == 7


@pytest.mark.feature("by-time")
def test_offsets_by_time(client, broker, admin, name):
    topic, now = admin.create(name), int(time.time() * 1000)
    for i in range(5):  # batches of two records, ten seconds apart
        admin.produce(topic, [Record(b"x", timestamp=now + 10_000 * i - 60_000 + j) for j in (0, 1)])
    for asked, offset in [(-60_000, 0), (-59_999, 1), (-59_998, 2), (-45_000, 4), (-20_000, 8), (-19_998, None)]:
        assert client.offsets(broker.bootstrap, topic, 0, now + asked) == offset, f"at {asked}"


@pytest.mark.feature("auto-create")
def test_a_topic_is_created_by_producing_to_it(client, broker, admin, name):
    client.produce(broker.bootstrap, name, numbered(1))
    assert admin.call("list_topics")[name] == 1
    assert contents(admin.consume(name), "value") == [(b"r0",)]
