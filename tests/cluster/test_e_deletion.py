"""Deleting: from either side once, without ever hanging, and data only where the deletion is recorded (rule 12)."""
import time

import pytest
from harness import machine
from harness.client import ask, write_and_read
from harness.kube import Refused, cluster, kubectl, topic
from harness.wait import steadily, until


def recorded(space, topic_id):
    """Whether the id stands among the deleted ones, and no partition of it is left."""
    objects = space.list("kafkapartitions")
    partitions = [key for one in objects for key in one["spec"]["partitions"]]
    deleted = [key for one in objects for key in one["spec"]["deleted"]]
    return topic_id in deleted and not any(key.startswith(topic_id) for key in partitions)


def made(space, name, **options):
    space.apply(topic(name, **options))
    space.wait_ready("kafkatopic", name)
    return space.get("kafkatopic", name)["status"]["topicId"]


def test_deletion_is_quick_and_recorded(demo):
    topic_id = made(demo, "goes", partitions=3)
    assert not demo.get("kafkatopic", "goes")["metadata"].get("finalizers")
    begun = time.monotonic()
    demo.delete("kafkatopic", "goes", "--timeout=5s")
    assert time.monotonic() - begun < 5
    until("it is recorded", lambda: recorded(demo, topic_id), 10)


def test_deleting_twice_succeeds(demo):
    made(demo, "twice")
    ask("delete", "twice")
    until("it is gone", lambda: demo.get("kafkatopic", "twice") is None, 10)
    demo.delete("kafkatopic", "twice", "--ignore-not-found")
    demo.run("delete", "kafkatopic", "twice", "--ignore-not-found")


def test_with_the_operator_gone(demo, without_operator):
    without_operator.up()
    kept, dropped = made(demo, "kept"), made(demo, "dropped")
    ask("produce", "kept", "precious")
    without_operator.down()
    for name in ("kept", "dropped"):
        demo.delete("kafkatopic", name, "--timeout=5s")
    without_operator.up()

    def missing():
        status = demo.get("kafkacluster", "demo")["status"]
        return {one["topicId"]: one for one in status.get("missingTopics", [])}

    until("they are reported", lambda: {kept, dropped} <= set(missing()), 30)
    assert missing()[kept]["keepUntil"]
    until("with an Event", lambda: "TopicMissing" in {event["reason"] for event in demo.events("demo")}, 10)
    # One is adopted, with its records; the other is dropped.
    demo.apply(topic("kept", annotations={"milena.dev/topic-id": kept}))
    demo.wait_ready("kafkatopic", "kept")
    assert demo.get("kafkatopic", "kept")["status"]["topicId"] == kept
    assert ask("consume", "kept", 1, "adopted") == ["precious"]
    demo.run("annotate", "kafkacluster", "demo", f"milena.dev/drop-topics={dropped}")
    until("it is dropped", lambda: recorded(demo, dropped), 10)
    until("nothing is missing", lambda: not missing(), 10)
    demo.run("annotate", "kafkacluster", "demo", "milena.dev/drop-topics-")
    demo.delete("kafkatopic", "kept")
    until("the adopted one is recorded as well", lambda: recorded(demo, kept), 10)


def test_with_the_brokers_gone(operator, space):
    space.apply(cluster("empty", 1))
    space.wait_ready("kafkacluster", "empty", 90)
    topic_id = made(space, "lonely", cluster="empty")
    space.patch("kafkacluster", "empty", {"spec": {"image": "milena.test/pause:1"}})
    until("no broker serves", lambda: space.get("kc", "empty")["status"]["readyBrokers"] == 0, 60)
    space.delete("kafkatopic", "lonely", "--timeout=5s")
    until("it is recorded", lambda: recorded(space, topic_id), 10)


def test_with_the_cluster_gone(operator, space):
    space.apply(cluster("brief", 1))
    space.wait_ready("kafkacluster", "brief", 90)
    made(space, "outlives", cluster="brief")
    write_and_read("outlives", ["a", "b"], bootstrap=f"brief-bootstrap.{space.name}.svc:9092")
    space.delete("kafkacluster", "brief", "--timeout=10s")
    until("its objects are gone", lambda: space.get("statefulset", "brief") is None, 60)
    space.wait_reason("kafkatopic", "outlives", "ClusterNotFound")
    # Made anew, it finds its records: the volumes stay by default.
    until("its pods are gone", lambda: not space.list("pods"), 90)
    space.apply(cluster("brief", 1))
    space.wait_ready("kafkatopic", "outlives", 120)
    read = ask("consume", "outlives", 2, "later", bootstrap=f"brief-bootstrap.{space.name}.svc:9092")
    assert read == ["a", "b"]
    # And without it, deleting a topic hangs on nothing.
    space.delete("kafkacluster", "brief", "--timeout=10s")
    space.delete("kafkatopic", "outlives", "--timeout=5s")


def test_volumes_go_where_the_user_said_so(operator, space):
    storage = {"size": "1Gi", "deleteWithCluster": True}
    space.apply({**cluster("temp", 1), "spec": {"brokers": 1, "storage": storage}})
    space.wait_ready("kafkacluster", "temp", 90)
    made(space, "data", cluster="temp")
    space.delete("kafkacluster", "temp", "--timeout=10s")
    until("volumes and partitions are gone", lambda: not space.list("pvc") and not space.list("kafkapartitions"), 90)
    space.wait_reason("kafkatopic", "data", "ClusterNotFound")
    space.apply({**cluster("temp", 1), "spec": {"brokers": 1, "storage": storage}})
    space.wait_ready("kafkatopic", "data", 120)


def test_the_namespace_being_deleted(operator, space):
    space.apply(cluster("goes", 1))
    space.wait_ready("kafkacluster", "goes", 90)
    space.apply(*[topic(f"goes-{number}", "goes") for number in range(5)])
    for number in range(5):
        space.wait_ready("kafkatopic", f"goes-{number}")
    kubectl("delete", "namespace", space.name, "--timeout=120s", timeout=150)
    pods = operator.list("pods", "-l", "app.kubernetes.io/name=milena-operator")
    assert all(one["status"]["containerStatuses"][0]["restartCount"] == 0 for one in pods)


def test_an_object_of_partitions_deleted_by_hand(demo):
    topic_id = made(demo, "careful", partitions=3)
    ask("produce", "careful", "still here")
    holder = next(one["metadata"]["name"] for one in demo.list("kafkapartitions")
                  if any(key.startswith(topic_id) for key in one["spec"]["partitions"]))
    demo.delete("kafkapartitions", holder)

    def back():
        one = demo.get("kafkapartitions", holder)
        return one and sum(key.startswith(topic_id) for key in one["spec"]["partitions"]) == 3

    until("it is put back", back, 10)
    assert ask("consume", "careful", 1, "careful") == ["still here"]
    demo.delete("kafkatopic", "careful")


@pytest.fixture(autouse=True)
def nothing_is_left(demo):
    yield
    for one in demo.list("kafkatopics"):
        if not one["metadata"]["name"].startswith("consumer-offsets"):
            try:
                demo.delete("kafkatopic", one["metadata"]["name"], "--ignore-not-found")
            except Refused:
                pass
