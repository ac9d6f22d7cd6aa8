"""Topics, from both sides."""
import re
import time

from harness import client
from harness.client import ask, write_and_read
from harness.kube import cluster, topic
from harness.wait import until


def test_ready_within_a_second(demo, figure):
    took = []
    for number in range(5):
        name = f"quick-{number}"
        demo.apply(topic(name, partitions=3))
        applied = time.monotonic()
        demo.run("wait", f"kafkatopic/{name}", "--for=condition=Ready", "--timeout=10s")
        took.append(time.monotonic() - applied)
        demo.delete("kafkatopic", name)
    figure("seconds from the end of kubectl apply to the end of kubectl wait", round(sorted(took)[2], 3))
    assert sorted(took)[2] < 1.0, took


def test_spread_over_brokers(demo):
    demo.apply(topic("spread", partitions=6))
    demo.wait_ready("kafkatopic", "spread")
    leaders = list(ask("partitions", "spread").values())
    assert sorted(leaders.count(broker) for broker in (0, 1, 2)) == [2, 2, 2]
    write_and_read("spread", [f"value {number}" for number in range(30)], group="spread")
    demo.delete("kafkatopic", "spread")


def test_made_by_kubectl_seen_by_clients(demo):
    demo.apply(topic("orders-v1", topicName="Orders.v1", partitions=2, config={"retention.ms": 604800000}))
    demo.wait_ready("kafkatopic", "orders-v1")
    until("clients see it", lambda: "Orders.v1" in ask("topics"), 10)
    demo.patch("kafkatopic", "orders-v1", {"spec": {"partitions": 4}})
    until("clients see four partitions", lambda: len(ask("partitions", "Orders.v1")) == 4, 10)
    demo.delete("kafkatopic", "orders-v1")
    until("clients no longer see it", lambda: "Orders.v1" not in ask("topics"), 10)


def named(space, kafka_name):
    """The KafkaTopic of that Kafka name."""
    found = [one for one in space.list("kafkatopics") if one["status"]["topicName"] == kafka_name]
    return found[0] if found else None


def test_made_by_a_client_seen_by_kubectl(demo):
    ask("create", "From.Client", 2)
    until("it is a KafkaTopic", lambda: named(demo, "From.Client"), 10)
    name = named(demo, "From.Client")["metadata"]["name"]
    demo.wait_ready("kafkatopic", name)
    ask("grow", "From.Client", 5)
    until("the object follows", lambda: demo.get("kafkatopic", name)["spec"]["partitions"] == 5, 10)
    ask("configure", "From.Client", "retention.ms", "1000")
    until("so do its settings", lambda: demo.get("kafkatopic", name)["spec"]["config"]["retention.ms"] == "1000", 10)
    ask("delete", "From.Client")
    until("it is gone", lambda: demo.get("kafkatopic", name) is None, 10)


def test_created_automatically(demo):
    ask("produce", "automatic", "a", "b")
    until("it is a KafkaTopic", lambda: demo.get("kafkatopic", "automatic"), 10)
    demo.wait_ready("kafkatopic", "automatic")
    demo.delete("kafkatopic", "automatic")


def test_applied_before_its_cluster(operator, space):
    space.apply(topic("early", "later", 3))
    condition = space.wait_reason("kafkatopic", "early", "ClusterNotFound")
    assert "later" in condition["message"]
    space.apply(cluster("later", 3))
    space.wait_ready("kafkatopic", "early", 120)
    # Whichever broker came up first does not get them all.
    states = space.get("kafkapartitions", "later-0")["spec"]["partitions"].values()
    leaders = sorted(re.search(r"leader=(\d+)", state).group(1) for state in states)
    assert leaders == ["0", "1", "2"]


def test_two_objects_that_claim_one_name(demo):
    demo.apply(topic("first", topicName="claimed"))
    demo.wait_ready("kafkatopic", "first")
    time.sleep(1.1)
    demo.apply(topic("second", topicName="claimed"))
    condition = demo.wait_reason("kafkatopic", "second", "NameTaken")
    assert "first" in condition["message"]
    demo.wait_ready("kafkatopic", "first")
    demo.delete("kafkatopic", "first")
    demo.wait_ready("kafkatopic", "second")
    demo.delete("kafkatopic", "second")


def test_a_topic_made_anew_is_another_one(demo):
    demo.apply(topic("again"))
    demo.wait_ready("kafkatopic", "again")
    before = demo.get("kafkatopic", "again")["status"]["topicId"]
    ask("produce", "again", "old")
    demo.delete("kafkatopic", "again")
    demo.apply(topic("again"))
    demo.wait_ready("kafkatopic", "again")
    assert demo.get("kafkatopic", "again")["status"]["topicId"] != before
    until("clients may write to it", lambda: write_and_read("again", ["new"], group="again") is None, 30)
    demo.delete("kafkatopic", "again")


def test_the_bootstrap_service_reaches_every_broker(demo):
    for broker in range(3):
        assert ask("topics", bootstrap=f"demo-{broker}.demo.default.svc:9092") is not None
    assert ask("topics", bootstrap=client.DEMO) is not None
