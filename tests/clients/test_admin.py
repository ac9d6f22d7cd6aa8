"""Topics and their settings through the Java client's Admin: refusals are Kafka's, and leave nothing behind."""

import pytest

from harness import wait
from harness.clients import BY_NAME
from harness.driver import ClientError
from harness.records import Record, contents, numbered

OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC, INVALID_TOPIC, ALREADY_EXISTS, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR = (
    1,
    3,
    17,
    36,
    37,
    38,
)
INVALID_CONFIG, INVALID_REQUEST = 40, 42


class Java:
    """The Java client's Admin for one server."""

    def __init__(self, bootstrap):
        self.driver = BY_NAME["Java client 4.3"].driver(bootstrap)

    def do(self, op, **arguments):
        return self.driver.call(op, **arguments)

    def refuses(self, code, says, op, **arguments):
        """The call fails with this code and a message that holds every one of these words."""
        with pytest.raises(ClientError) as raised:
            self.driver.call(op, **arguments)
        assert raised.value.code == code, raised.value
        missing = [word for word in says if word not in raised.value.message]
        assert not missing, f"{raised.value.message!r} does not say {missing}"


@pytest.fixture
def java(broker):
    return Java(broker.bootstrap)


# What is wrong -> partitions, replicas, config, error, words of the message.
REFUSED = {
    "no partitions": (0, 1, {}, INVALID_PARTITIONS, ["partitions"]),
    "negative partitions": (-2, 1, {}, INVALID_PARTITIONS, ["partitions"]),
    "no replicas": (1, 0, {}, INVALID_REPLICATION_FACTOR, ["eplication factor"]),
    "more replicas than brokers": (1, 9, {}, INVALID_REPLICATION_FACTOR, ["9"]),
    "unknown setting": (1, 1, {"no.such": "1"}, INVALID_CONFIG, ["no.such"]),
    "not a number": (1, 1, {"retention.ms": "abc"}, INVALID_CONFIG, ["retention.ms", "abc"]),
    "out of range": (1, 1, {"retention.ms": "-5"}, INVALID_CONFIG, ["retention.ms", "-5"]),
    "not one of a list": (1, 1, {"cleanup.policy": "burn"}, INVALID_CONFIG, ["cleanup.policy", "burn"]),
    "one wrong among right": (
        1,
        1,
        {"retention.ms": "60000", "max.message.bytes": "x"},
        INVALID_CONFIG,
        ["max.message.bytes"],
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_wrong_topic_is_refused_and_not_created(java, name, wrong):
    partitions, replicas, config, code, says = REFUSED[wrong]
    for validate_only in (True, False):
        java.refuses(
            code,
            says,
            "create_topic",
            topic=name,
            partitions=partitions,
            replicas=replicas,
            config=config,
            validate_only=validate_only,
        )
    assert name not in java.do("list_topics")
    java.do("create_topic", topic=name, partitions=1, replicas=1)  # the name is still free


@pytest.mark.parametrize("topic", ["bad name", "..", ".", "x" * 250, "sl/ash", "ünicode"])
def test_a_wrong_name_is_refused(java, topic):
    java.refuses(INVALID_TOPIC, [], "create_topic", topic=topic, partitions=1, replicas=1)
    assert topic not in java.do("list_topics")


def test_names_that_differ_only_in_dot_and_underscore_collide(java, name):
    java.do("create_topic", topic=f"{name}.a", partitions=1, replicas=1)
    java.refuses(INVALID_TOPIC, [f"{name}_a", f"{name}.a"], "create_topic", topic=f"{name}_a", partitions=1, replicas=1)


def test_create_describe_delete_and_create_anew(java, admin, name):
    java.do("create_topic", topic=name, partitions=3, replicas=1)
    java.refuses(ALREADY_EXISTS, [name], "create_topic", topic=name, partitions=1, replicas=1)
    first = java.do("describe_topic", topic=name)
    assert [place[0] for place in first["partitions"]] == [0, 1, 2]
    assert all(leader >= 0 and replicas == isr == 1 for _, leader, replicas, isr in first["partitions"])
    admin.produce(name, numbered(3))
    java.do("delete_topic", topic=name)
    assert name not in java.do("list_topics")
    java.refuses(UNKNOWN_TOPIC, [], "delete_topic", topic=name)
    java.do("create_topic", topic=name, partitions=1, replicas=1)
    assert java.do("describe_topic", topic=name)["id"] != first["id"]
    admin.produce(name, numbered(1, "new"))
    assert contents(admin.consume(name), "value", "offset") == [(b"new0", 0)], "nothing of the old topic is left"


def test_defaults_and_dry_run(java, name):
    java.do("create_topic", topic=name, partitions=-1, replicas=-1)
    wait.until(lambda: name in java.do("list_topics"), 5, "the topic listed")
    assert len(java.do("describe_topic", topic=name)["partitions"]) == 1
    java.do("create_topic", topic=f"{name}-dry", partitions=1, replicas=1, validate_only=True)
    assert f"{name}-dry" not in java.do("list_topics")


def test_partitions_grow_and_never_shrink(java, admin, name):
    java.do("create_topic", topic=name, partitions=1, replicas=1)
    admin.produce(name, numbered(2))
    java.do("create_partitions", topic=name, total=3)
    for total, says in [(3, ["3"]), (2, ["3", "2"]), (0, ["3", "0"])]:
        java.refuses(INVALID_PARTITIONS, says, "create_partitions", topic=name, total=total)
    java.refuses(UNKNOWN_TOPIC, [], "create_partitions", topic=f"{name}-none", total=3)
    assert len(java.do("describe_topic", topic=name)["partitions"]) == 3
    assert len(admin.consume(name, count=2)) == 2


def test_settings_are_set_reset_and_refused(java, name):
    def shown(setting):
        return java.do("describe_config", topic=name)[setting]

    def alter(*changes):
        return {"topic": name, "changes": list(changes)}

    java.do("create_topic", topic=name, partitions=1, replicas=1, config={"segment.bytes": "2000000"})
    assert shown("segment.bytes") == ["2000000", "DYNAMIC_TOPIC_CONFIG"]
    assert shown("retention.ms") == ["604800000", "DEFAULT_CONFIG"]
    assert shown("cleanup.policy") == ["delete", "DEFAULT_CONFIG"]
    java.do("alter_config", **alter(["SET", "retention.ms", "5000"], ["APPEND", "cleanup.policy", "compact"]))
    assert shown("retention.ms") == ["5000", "DYNAMIC_TOPIC_CONFIG"]
    assert set(shown("cleanup.policy")[0].split(",")) == {"compact", "delete"}
    java.refuses(
        INVALID_CONFIG,
        ["retention.ms"],
        "alter_config",
        **alter(["SET", "segment.bytes", "3000000"], ["SET", "retention.ms", "x"]),
    )
    assert shown("segment.bytes")[0] == "2000000", "nothing of a refused change is kept"
    java.refuses(INVALID_CONFIG, ["nope"], "alter_config", **alter(["SET", "nope", "1"]))
    java.refuses(INVALID_CONFIG, ["retention.ms"], "alter_config", **alter(["APPEND", "retention.ms", "4"]))
    java.do("alter_config", **alter(["DELETE", "retention.ms", None]))
    assert shown("retention.ms") == ["604800000", "DEFAULT_CONFIG"]


def test_what_does_not_exist(java, name):
    java.refuses(UNKNOWN_TOPIC, [], "describe_topic", topic=name)
    java.refuses(UNKNOWN_TOPIC, [], "describe_config", topic=name)
    java.refuses(UNKNOWN_TOPIC, [], "alter_config", topic=name, changes=[["SET", "retention.ms", "5"]])
    assert name not in java.do("list_topics"), "asking creates nothing"


def test_a_record_that_is_too_large_is_refused(java, admin, name):
    java.do("create_topic", topic=name, partitions=1, replicas=1, config={"max.message.bytes": "1000"})
    with pytest.raises(ClientError) as raised:
        admin.produce(name, numbered(1, "x" * 2000))
    assert raised.value.code == 10, raised.value  # MESSAGE_TOO_LARGE
    admin.produce(name, numbered(1))
    assert contents(admin.consume(name), "value", "offset") == [(b"r0", 0)]


def test_delete_records_moves_the_start_of_the_log(java, admin, name):
    java.do("create_topic", topic=name, partitions=1, replicas=1)
    for part in range(4):
        admin.produce(name, numbered(3, f"{part}-"))
    assert java.do("delete_records", topic=name, partition=0, before=5) == 5
    assert admin.client.offsets(admin.bootstrap, name, 0, "earliest") == 5
    assert contents(admin.consume(name, count=7), "offset") == [(offset,) for offset in range(5, 12)]
    java.refuses(OFFSET_OUT_OF_RANGE, [], "delete_records", topic=name, partition=0, before=100)
    assert java.do("delete_records", topic=name, partition=0, before=-1) == 12


@pytest.mark.own_broker
def test_retention_by_size_drops_whole_segments(start_broker, admin_of, name):
    broker = start_broker(config={"log.retention.check.interval.ms": 1000})
    admin = admin_of(broker)
    admin.create(name, segment_bytes=1 << 20, retention_bytes=2 << 20)
    for part in range(50):
        admin.produce(name, [Record(b"%d " % part + bytes(100_000))])

    def three_segments_left():  # a check that came before the last record leaves more
        start = admin.client.offsets(admin.bootstrap, name, 0, "earliest")
        return start if 50 - start <= 32 else None

    start = wait.until(three_segments_left, 60, "old segments dropped")
    read = admin.consume(name, count=50 - start)
    assert contents(read, "offset") == [(offset,) for offset in range(start, 50)]
    assert 50 - start >= 20, "what the topic may hold is left"
