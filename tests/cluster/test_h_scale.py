"""More brokers, fewer brokers, more and fewer replicas: partitions move by themselves, and nothing is lost."""
import re

from harness.client import ask, write_and_read
from harness.kube import cluster, topic
from harness.wait import steadily, until

STATE = re.compile(r"replicas=(?P<replicas>[\d,]+) ")


def states(space, name):
    """Every partition's state text of a cluster."""
    objects = space.list("kafkapartitions")
    return [text for one in objects if one["spec"]["cluster"] == name for text in one["spec"]["partitions"].values()]


def load(space, name):
    """By broker: how many replicas it has."""
    counts = {}
    for text in states(space, name):
        for broker in STATE.search(text)["replicas"].split(","):
            counts[int(broker)] = counts.get(int(broker), 0) + 1
    return counts


def is_even(space, name, brokers):
    """As many brokers have partitions, and none more than another by over a fifth."""
    counts = load(space, name)
    slack = max(2, sum(counts.values()) // brokers // 5)
    return len(counts) == brokers and max(counts.values()) - min(counts.values()) <= slack


def is_still(space, name):
    return not any("adding=" in text for text in states(space, name))


def test_brokers_come_and_go_and_partitions_with_them(space):
    space.apply(cluster("grow", 2))
    space.wait_ready("kafkacluster", "grow", 120)
    space.apply({**topic("many", "grow", 12), "spec": {"cluster": "grow", "partitions": 12, "replicas": 2}})
    space.wait_ready("kafkatopic", "many")
    assert load(space, "grow") == {0: 12, 1: 12}
    bootstrap, values = f"grow-bootstrap.{space.name}.svc:9092", [f"value-{number}" for number in range(50)]
    write_and_read("many", values, bootstrap=bootstrap)
    # A third broker takes its share, of the partitions of __consumer_offsets too.
    total = sum(load(space, "grow").values())
    space.run("scale", "kafkacluster/grow", "--replicas=3")
    until("the new broker has its share", lambda: is_even(space, "grow", 3) and is_still(space, "grow"), 180)
    assert sum(load(space, "grow").values()) == total >= 24
    before = states(space, "grow")
    steadily("what is even enough stays", lambda: states(space, "grow") == before, 6)
    # And gives it back before it goes.
    space.run("scale", "kafkacluster/grow", "--replicas=2")
    until("two brokers have all", lambda: is_even(space, "grow", 2) and is_still(space, "grow"), 180)
    assert sum(load(space, "grow").values()) == total
    space.wait_ready("kafkacluster", "grow", 120)
    assert space.get("kafkacluster", "grow")["status"]["brokers"] == 2
    assert sorted(ask("consume", "many", 50, "later", bootstrap=bootstrap)) == sorted(values)
    status = space.get("kafkatopic", "many")["status"]
    assert (status["reassigningPartitions"], status["underReplicatedPartitions"]) == (0, 0)


def test_too_few_brokers_for_the_replicas_say_so(space):
    space.apply(cluster("stay", 2))
    space.wait_ready("kafkacluster", "stay", 120)
    space.apply({**topic("wide", "stay", 2), "spec": {"cluster": "stay", "partitions": 2, "replicas": 2}})
    space.wait_ready("kafkatopic", "wide")
    space.run("scale", "kafkacluster/stay", "--replicas=1")
    condition = space.wait_reason("kafkacluster", "stay", "ScaleDownBlocked")
    assert "wide" in condition["message"] and "back to 2" in condition["message"]
    steadily("both brokers stay", lambda: len(space.list("pods", "-l", "milena.dev/cluster=stay")) == 2, 6)
    # With fewer replicas it goes on.
    space.patch("kafkatopic", "wide", {"spec": {"replicas": 1}})
    until("one broker has all", lambda: load(space, "stay") == {0: 2} and is_still(space, "stay"), 120)
    space.wait_ready("kafkacluster", "stay", 120)


def test_one_broker_is_emptied_by_an_annotation(space):
    space.apply(cluster("swap", 3))
    space.wait_ready("kafkacluster", "swap", 120)
    space.apply({**topic("some", "swap", 6), "spec": {"cluster": "swap", "partitions": 6, "replicas": 2}})
    space.wait_ready("kafkatopic", "some")
    space.run("annotate", "kafkacluster/swap", "milena.dev/empty-brokers=1")
    until("broker 1 has nothing", lambda: load(space, "swap") == {0: 6, 2: 6} and is_still(space, "swap"), 120)
    assert len(space.list("pods", "-l", "milena.dev/cluster=swap")) == 3
    space.run("annotate", "kafkacluster/swap", "milena.dev/empty-brokers-")
    until("it has its share again", lambda: load(space, "swap").get(1, 0) >= 3 and is_still(space, "swap"), 120)
