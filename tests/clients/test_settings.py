"""Topic settings, all of them, beside what Apache Kafka 4.3's own LogConfig says; and what some of them do."""

import functools
import html
import re
import time

import pytest

from harness import segment, tools, wait
from harness.clients import BY_NAME
from harness.driver import ClientError
from harness.records import Record, contents

INVALID_CONFIG = 40


@functools.cache
def kafka():
    """Kafka's settings of topics: name to a dictionary of its documentation's rows."""
    page = tools.must("java", "org.apache.kafka.storage.internals.log.LogConfig")
    found = {}
    for name, table in re.findall(r'<h4><a id="([^"]+)">.*?<tbody>(.*?)</tbody>', page, re.DOTALL):
        rows = dict(re.findall(r"<th>(.*?):</th><td>(.*?)</td>", table))
        found[name] = {row: html.unescape(text) for row, text in rows.items()}
    assert len(found) > 30, page[:500]
    return found


def default(name):
    """Kafka's default, without the explanation behind large numbers."""
    text = re.sub(r" \([^)]*\)$", "", kafka()[name]["Default"])
    return "" if text == '""' else text


@pytest.fixture
def java(broker):
    return BY_NAME["Java client 4.3"].driver(broker.bootstrap)


@pytest.fixture
def described(java, name):
    java.call("create_topic", topic=name, partitions=1, replicas=1)
    return java.call("describe_settings", topic=name)


def test_every_setting_is_described_as_kafka_does(described):
    assert set(described) == set(kafka())
    for name, shown in described.items():
        facts = kafka()[name]
        assert shown["type"].lower() == facts["Type"], name
        assert shown["value"] == default(name), name
        # With eligible leader replicas Kafka keeps this one as a default of the whole cluster.
        cluster = {"DYNAMIC_DEFAULT_BROKER_CONFIG"} if name == "min.insync.replicas" else set()
        assert shown["source"] in {"DEFAULT_CONFIG"} | cluster, name
        assert shown["documentation"], name
        assert not shown["sensitive"] and not shown["read_only"], name
        property_of_broker = facts["Server Default Property"]
        # What is unset has no value to show, and is no synonym; log.retention.hours, for one, may stand for it.
        unset = {"log.retention.ms", "log.roll.ms", "log.roll.jitter.ms", "log.flush.interval.ms", "null"}
        known = {synonym for synonym, _, _ in shown["synonyms"]}
        assert property_of_broker in known | unset, name


def test_the_tool_shows_them_all(broker, described, name):
    shown = tools.must(
        "configs", "--bootstrap-server", broker.bootstrap, "--describe", "--all", "--entity-type", "topics",
        "--entity-name", name,
    )  # fmt: skip
    rows = dict(re.findall(r"^  ([a-z0-9.]+)=(.*) sensitive=false synonyms=\{", shown, re.MULTILINE))
    assert rows == {setting: default(setting) for setting in kafka()}


def edges(name):
    """Values at the edge of what Kafka takes, and just behind it: a list of (value, whether it is taken)."""
    facts = kafka()[name]
    allowed, kind = facts.get("Valid Values", ""), facts["Type"]
    if kind == "boolean":
        return [("true", True), ("FALSE", True), ("yes", False), ("1", False)]
    if kind == "string" or name == "cleanup.policy":
        one_of = allowed.strip("[]").split(", ")
        return [(value, True) for value in one_of] + [("nonsense", False)]
    if kind == "list":
        return [("*", True), ("0:1", True), ("0-1", False)]
    bounds = re.match(r"\[(-?\d+),\.\.\.,?(-?\d+)?\]", allowed)
    found = [("x", False)]
    if kind != "double":
        found.append(("1.5", False))
    step = 0.1 if kind == "double" else 1
    if bounds:
        low, high = bounds.groups()
        found += [(low, True), (str(int(low) - step), False)]
        if high:
            found += [(high, True), (str(int(high) + step), False)]
    return found


# What is known and refused, for the reason that the message gives: docs/settings.md lists it as restricted.
RESTRICTED = {"remote.storage.enable": "true"}


def test_values_are_taken_and_refused_as_in_kafka(java, name):
    wrong = []
    for setting in sorted(kafka()):
        for value, expected in edges(setting):
            expected = expected and RESTRICTED.get(setting) != value.lower()
            config = {setting: value}
            try:
                java.call("create_topic", topic=name, partitions=1, replicas=1, config=config, validate_only=True)
                taken = True
            except ClientError as error:
                assert error.code == INVALID_CONFIG, error
                assert setting in error.message or setting in RESTRICTED, error
                taken = False
            if taken != expected:
                wrong.append((setting, value, "taken" if taken else "refused"))
    assert not wrong


@pytest.fixture
def own(start_broker, admin_of):
    broker = start_broker()
    return broker, admin_of(broker)


def stored(broker, topic):
    """Codec and bytes of every batch on disk."""
    found = []
    for file in broker.segments(topic):
        data = file.read_bytes()
        for batch in segment.batches(file):
            attributes = int.from_bytes(data[batch.position + 21 : batch.position + 23], "big")
            found.append((CODECS[attributes & 7], batch.size))
    return found


CODECS = ["uncompressed", "gzip", "snappy", "lz4", "zstd"]


@pytest.mark.own_broker
def test_compression_is_the_topics(own, name):
    broker, admin = own
    text = b" ".join(b"%d" % (number * number % 7919) for number in range(20_000))
    levels = {"gzip": (1, 9), "lz4": (9, 12), "zstd": (-50, 19)}
    for codec in CODECS:
        sizes = []
        for level in levels.get(codec, (None,)):
            topic = f"{name}-{codec}-{level}"
            more = {} if level is None else {f"compression_{codec}_level": level}
            admin.create(topic, compression_type=codec, **more)
            admin.produce(topic, [Record(text)], codec="snappy" if codec != "snappy" else "gzip")
            (found,) = stored(broker, topic)
            assert found[0] == codec
            sizes.append(found[1])
            assert admin.consume(topic)[0].value == text
        assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes), (codec, sizes)
    admin.create(name)
    admin.produce(name, [Record(text)], codec="lz4")
    assert stored(broker, name)[0][0] == "lz4", "the producer's own"


INVALID_TIMESTAMP = 32


def test_times_have_bounds(admin, name):
    now = int(time.time() * 1000)
    admin.create(name, message_timestamp_before_max_ms=60_000, message_timestamp_after_max_ms=30_000)
    admin.produce(name, [Record(b"in time", timestamp=now - 30_000), Record(b"soon", timestamp=now + 15_000)])
    for timestamp in (now - 90_000, now + 60_000):
        with pytest.raises(ClientError) as raised:
            admin.produce(name, [Record(b"out of time", timestamp=timestamp)])
        assert raised.value.code == INVALID_TIMESTAMP, raised.value
    stamped = f"{name}-stamped"
    admin.create(stamped, message_timestamp_type="LogAppendTime", message_timestamp_before_max_ms=0)
    admin.produce(stamped, [Record(b"x", timestamp=1_000)])
    assert abs(admin.consume(stamped)[0].timestamp - now) < 60_000, "the broker's time, whatever the producer says"
    assert contents(admin.consume(name, count=2), "value") == [(b"in time",), (b"soon",)]


@pytest.mark.own_broker
def test_files_of_deleted_segments_stay_for_a_while(start_broker, admin_of, name):
    broker = start_broker(config={"log.retention.check.interval.ms": 500})
    admin = admin_of(broker)
    topics = {f"{name}-at-once": 0, f"{name}-later": 600_000}
    for topic, delay in topics.items():
        admin.create(topic, segment_bytes=1 << 20, retention_bytes=1 << 20, file_delete_delay_ms=delay)
        for part in range(40):
            admin.produce(topic, [Record(b"%d " % part + bytes(100_000))])
    at_once, later = topics

    def left(topic):
        return [path for path in broker.data_dir.rglob("*.deleted") if path.parent.name == f"{topic}-0"]

    for topic in topics:
        wait.until(lambda topic=topic: admin.client.offsets(admin.bootstrap, topic, 0, "earliest") > 0, 30, "deletion")
    assert any(path.name.endswith(".log.deleted") for path in left(later))
    wait.until(lambda: not left(at_once), 10, "the files gone")
