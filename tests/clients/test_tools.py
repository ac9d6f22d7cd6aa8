"""Apache Kafka 4.3's command line tools against the broker."""

import pytest

from harness import tools
from harness.records import contents, numbered


@pytest.fixture
def tool(broker):
    """Runs a tool that has to succeed, against the broker."""
    return lambda verb, *arguments, **more: tools.must(verb, "--bootstrap-server", broker.bootstrap, *arguments, **more)


def test_topics(tool, broker, name):
    assert f"Created topic {name}" in tool(
        "topics", "--create", "--replication-factor", 1, "--partitions", 1, "--topic", name
    )
    assert name in tool("topics", "--list").split()
    shown = tool("topics", "--describe", "--topic", name)
    assert "PartitionCount: 1\tReplicationFactor: 1" in shown and f"Topic: {name}\tPartition: 0\tLeader: " in shown
    tool("topics", "--alter", "--topic", name, "--partitions", 3)
    assert "PartitionCount: 3" in tool("topics", "--describe", "--topic", name)
    tool("topics", "--delete", "--topic", name)
    assert name not in tool("topics", "--list").split()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--create", "--topic", "bad name"], "Topic name is invalid"),
        (["--create", "--topic", "unborn", "--replication-factor", "3"], "InvalidReplicationFactorException"),
        (["--create", "--topic", "unborn", "--partitions", "1", "--config", "retention.ms=abc"], "retention.ms"),
        (["--delete", "--topic", "unborn"], "does not exist"),
        (["--describe", "--topic", "unborn"], "does not exist"),
    ],
)
def test_topics_refused(broker, arguments, says):
    done = tools.run("topics", "--bootstrap-server", broker.bootstrap, *arguments)
    assert done.returncode != 0 and says in done.stdout + done.stderr


def test_configs(tool, admin, name):
    admin.create(name)
    of_topic = ["--entity-type", "topics", "--entity-name", name]
    assert "Completed" in tool("configs", "--alter", *of_topic, "--add-config", "retention.ms=60000")
    assert "retention.ms=60000 sensitive=false" in tool("configs", "--describe", *of_topic)
    assert "retention.ms=60000" in tool("topics", "--describe", "--topic", name)
    tool("configs", "--alter", *of_topic, "--delete-config", "retention.ms")
    assert "retention.ms" not in tool("configs", "--describe", *of_topic)


def test_groups(tool, admin, name):
    admin.create(name, partitions=1)
    admin.produce(name, numbered(5))
    tool("console-consumer", "--topic", name, "--group", f"{name}-g", "--from-beginning", "--max-messages", 3)
    assert f"{name}-g" in tool("groups", "--list").split()
    row = next(
        line.split()
        for line in tool("groups", "--describe", "--group", f"{name}-g").splitlines()
        if line.startswith(f"{name}-g")
    )
    assert row[1:6] == [name, "0", "3", "5", "2"], "topic, partition, current offset, end, lag"
    tool("groups", "--group", f"{name}-g", "--topic", name, "--reset-offsets", "--to-earliest", "--execute")
    read = tool("console-consumer", "--topic", name, "--group", f"{name}-g", "--max-messages", 5)
    assert read.split() == [f"r{i}" for i in range(5)]
    tool("groups", "--delete", "--group", f"{name}-g")
    assert f"{name}-g" not in tool("groups", "--list").split()


def test_performance_tools(tool, admin, name):
    admin.create(name, partitions=2)
    shown = tool("producer-perf", "--topic", name, "--num-records", 20000, "--record-size", 200, "--throughput", -1)
    assert "20000 records sent" in shown
    shown = tool("consumer-perf", "--topic", name, "--num-records", 20000, "--timeout", 20000)
    assert int(shown.strip().splitlines()[-1].split(", ")[4]) >= 20000, shown


def test_verifiable_producer(tool, admin, name):
    admin.create(name)
    shown = tool("verifiable-producer", "--topic", name, "--max-messages", 100, "--acks", -1)
    assert '"sent":100' in shown and '"acked":100' in shown
    assert contents(admin.consume(name, count=100), "value") == [(str(i).encode(),) for i in range(100)]


def test_get_offsets(broker, admin, name):
    admin.create(name, partitions=2)
    admin.produce(name, numbered(4, partition=1))
    shown = tools.must(
        "java", "org.apache.kafka.tools.GetOffsetShell", "--bootstrap-server", broker.bootstrap, "--topic", name
    )
    assert shown.split() == [f"{name}:0:0", f"{name}:1:4"]


@pytest.mark.own_broker
def test_dump_log_reads_the_segments(own_broker, admin_of, name):
    admin = admin_of(own_broker)
    admin.create(name)
    admin.produce(name, numbered(10), codec="zstd")
    admin.produce(name, numbered(5, "plain"))
    for _ in range(8):  # so much that the indexes have entries
        admin.produce(name, numbered(1, "x" * 2000))
    own_broker.stop()
    segment = own_broker.segments(name)[0]
    shown = tools.must("dump-log", "--files", segment, "--deep-iteration", "--print-data-log")
    assert "compresscodec: zstd" in shown and shown.count("isvalid: true") >= 2 and shown.count("payload: ") == 23
    index, times = segment.with_suffix(".index"), segment.with_suffix(".timeindex")
    tools.must("dump-log", "--files", f"{index},{times}", "--index-sanity-check")
