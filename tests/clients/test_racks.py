"""Consumers that say their rack read from the replica there (KIP-392): librdkafka's and Java's."""

import json
import re
import subprocess
import urllib.request

import pytest

from harness import tools, wait

RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
RECORDS, SIZE = 500, 4000


@pytest.fixture
def brokers(start_broker):
    """Three brokers in the racks a, b and c; the figures of the first are at `figures`."""
    port, figures = wait.free_ports(3), wait.free_ports(1)
    broker = start_broker(
        port=port,
        config={"broker.rack": "a,b,c", "replica.selector.class": RACK_AWARE},
        arguments=["--brokers", "3", "--http-listen", f"127.0.0.1:{figures}"],
    )
    for other in (port + 1, port + 2):
        wait.until(lambda at=other: wait.answers(f"127.0.0.1:{at}"), 10, f"a broker on {other}")
    broker.figures = figures
    return broker


def led_elsewhere(broker, admin, name):
    """A topic with a replica on each broker, whose leader is not the first."""
    for attempt in range(6):
        topic = f"{name}-{attempt}"
        admin.call("create_topic", topic=topic, partitions=1, replicas=3, config={})

        def partition(topic=topic):
            shown = tools_json("-L", "-J", "-b", broker.bootstrap, "-t", topic)
            found = shown["topics"][0]["partitions"]
            assert found and found[0]["leader"] >= 0 and len(found[0]["isrs"]) == 3, shown
            return found[0]

        if wait.until(partition, 20, f"{topic} in sync everywhere", every=0.1)["leader"] != 0:
            return topic
    raise AssertionError("the first broker leads all topics")


def tools_json(*arguments):
    done = subprocess.run([tools.kcat(), *arguments], capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def fetched_bytes(broker):
    """Bytes of records that the first broker has given to consumers."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{broker.figures}/metrics", timeout=5).read().decode()
    return int(re.search(r"^milena_fetched_bytes_total (\d+)", text, re.MULTILINE).group(1))


def librdkafka(bootstrap, topic, rack):
    command = [tools.kcat(), "-b", bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-q"]
    command += ["-c", str(RECORDS), "-X", f"client.rack={rack}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def java(bootstrap, topic, rack):
    at = ("--bootstrap-server", bootstrap, "--topic", topic, "--partition", 0, "--offset", "earliest")
    return tools.must(
        "console-consumer",
        *at,
        *("--max-messages", RECORDS, "--timeout-ms", 40000, "--command-property", f"client.rack={rack}"),
    )


@pytest.mark.own_broker
@pytest.mark.parametrize("consume", [librdkafka, java])
def test_a_consumer_reads_in_its_own_rack(brokers, admin_of, name, consume):
    admin = admin_of(brokers)
    topic = led_elsewhere(brokers, admin, name)
    lines = "".join(f"{i:04}".ljust(SIZE, "x") + "\n" for i in range(RECORDS))
    command = [tools.kcat(), "-b", brokers.bootstrap, "-P", "-t", topic, "-p", "0", "-X", "acks=all"]
    subprocess.run(command, input=lines, text=True, timeout=60, check=True)
    # The first broker follows: a consumer in its rack is sent to it, and one in no broker's rack is not.
    for rack, nearby in (("elsewhere", False), ("a", True)):
        before = fetched_bytes(brokers)
        assert consume(brokers.bootstrap, topic, rack) == lines
        given = fetched_bytes(brokers) - before
        assert (given >= RECORDS * SIZE) if nearby else given == 0, f"rack {rack}: {given} bytes from the first broker"


def test_racks_that_do_not_fit_are_refused(start_broker):
    with pytest.raises(RuntimeError, match="names 2 racks, and there are 3 broker"):
        start_broker(config={"broker.rack": "a,b"}, arguments=["--brokers", "3"])
