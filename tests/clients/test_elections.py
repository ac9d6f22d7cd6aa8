"""kafka-leader-election.sh against three brokers in one process."""

import subprocess

import pytest

from harness import tools, wait
from harness.broker import BINARY

pytestmark = pytest.mark.own_broker


@pytest.fixture
def three(start_broker):
    return start_broker(arguments=["--brokers", "3"])


def order(three, word, broker):
    subprocess.run([BINARY, word, str(broker), "--data-dir", three.data_dir], check=True, capture_output=True)


def bootstrap(three):
    return ",".join(f"127.0.0.1:{three.port + broker}" for broker in range(3))


def election(three, kind, *arguments):
    command = ("java", "org.apache.kafka.tools.LeaderElectionCommand", "--bootstrap-server", bootstrap(three))
    done = tools.run(*command, "--election-type", kind, *arguments)
    return done.returncode, done.stdout + done.stderr


def describe(three, topic):
    """By partition: leader, replicas and ISR, as kafka-topics.sh prints them."""
    shown = tools.must("topics", "--bootstrap-server", bootstrap(three), "--describe", "--topic", topic)
    rows = (line.split("\t") for line in shown.splitlines() if "\tPartition: " in line)
    fields = ({name: value.strip() for name, _, value in (f.strip().partition(":") for f in row)} for row in rows)
    return {int(row["Partition"]): (row["Leader"], row["Replicas"].split(","), row["Isr"].split(",")) for row in fields}


def create(three, topic, partitions, replicas):
    arguments = ["--create", "--topic", topic, "--partitions", partitions, "--replication-factor", replicas]
    tools.must("topics", "--bootstrap-server", bootstrap(three), *arguments)


def test_preferred(three):
    create(three, "t", 3, 3)
    order(three, "stop", 0)
    away = [index for index, (_, replicas, _) in describe(three, "t").items() if replicas[0] == "0"]
    status, says = election(three, "preferred", "--topic", "t", "--partition", away[0])
    assert status != 0 and "PreferredLeaderNotAvailableException" in says
    order(three, "start", 0)
    wait.until(lambda: all(len(isr) == 3 for _, _, isr in describe(three, "t").values()), 60, "all in sync")
    status, says = election(three, "preferred", "--all-topic-partitions")
    assert status == 0 and all(f"t-{index}" in says for index in away), says
    assert all(leader == replicas[0] for leader, replicas, _ in describe(three, "t").values())
    status, says = election(three, "preferred", "--topic", "t", "--partition", away[0])
    assert status == 0 and "Valid replica already elected" in says, says


def test_unclean(three):
    create(three, "t", 1, 2)
    leader, replicas, _ = describe(three, "t")[0]
    other = next(replica for replica in replicas if replica != leader)
    order(three, "stop", other)
    wait.until(lambda: describe(three, "t")[0][2] == [leader], 60, "the follower left the ISR")
    order(three, "stop", leader)
    status, says = election(three, "unclean", "--topic", "t", "--partition", 0)
    assert status != 0 and "EligibleLeadersNotAvailableException" in says
    order(three, "start", other)
    assert describe(three, "t")[0][0] == "none", "it was not in sync"
    status, says = election(three, "unclean", "--topic", "t", "--partition", 0)
    assert status == 0 and "t-0" in says, says
    assert describe(three, "t")[0][0] == other
