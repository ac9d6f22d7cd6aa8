"""What a KafkaCluster becomes, and how it follows its specification."""
import json

import pytest
from harness import machine, operators
from harness.kube import cluster, kubectl, topic
from harness.wait import steadily, until


def test_the_objects_of_a_cluster(demo):
    owned = {
        "statefulset": "demo", "service": "demo", "configmap": "demo", "poddisruptionbudget": "demo",
        "serviceaccount": "demo-broker", "role": "demo-broker", "rolebinding": "demo-broker",
    }
    uid = demo.get("kafkacluster", "demo")["metadata"]["uid"]
    for kind, name in owned.items():
        owner = demo.get(kind, name)["metadata"]["ownerReferences"][0]
        assert owner["uid"] == uid, kind
    assert demo.get("service", "demo")["spec"]["clusterIP"] == "None"
    assert demo.get("service", "demo-bootstrap")["spec"]["ports"][0]["port"] == 9092
    assert {one["metadata"]["name"] for one in demo.list("pods", "-l", "milena.dev/cluster=demo")} == {
        "demo-0", "demo-1", "demo-2"}


def test_status_and_columns(demo):
    status = demo.get("kafkacluster", "demo")["status"]
    assert status["listeners"][0]["bootstrapServers"] == "demo-bootstrap.default.svc:9092"
    assert (status["brokers"], status["readyBrokers"]) == (3, 3)
    assert len(status["clusterId"]) == 22 and status["version"]
    condition = demo.ready("kafkacluster", "demo")
    assert condition["reason"] == "Ready" and condition["message"] and condition["observedGeneration"]
    row = demo.run("get", "kc", "demo").splitlines()
    assert row[0].split()[:4] == ["NAME", "BROKERS", "READY", "VERSION"] and row[1].split()[1:3] == ["3", "True"]
    reasons = {event["reason"] for event in demo.events("demo")}
    assert "Ready" in reasons, "people look for Events"


EDITS = [
    ("service", "demo-bootstrap", "delete", None),
    ("service", "demo", "delete", None),
    ("configmap", "demo", {"data": {"broker.properties": "wrong=1\n"}}, "data"),
    ("configmap", "demo", "delete", None),
    ("service", "demo-bootstrap", {"spec": {"selector": {"milena.dev/cluster": "other"}}}, "spec"),
    ("statefulset", "demo", {"spec": {"replicas": 1}}, "spec"),
    ("role", "demo-broker", {"rules": []}, "rules"),
    ("poddisruptionbudget", "demo", {"spec": {"maxUnavailable": 3}}, "spec"),
]


@pytest.mark.parametrize("kind, name, edit, field", EDITS, ids=lambda value: str(value)[:20])
def test_what_is_edited_by_hand_is_put_back(demo, kind, name, edit, field):
    before = demo.get(kind, name)
    if edit == "delete":
        demo.delete(kind, name, "--wait=false")
        until("it is back", lambda: demo.get(kind, name)["metadata"]["uid"] != before["metadata"]["uid"], 10)
    else:
        demo.patch(kind, name, edit)
        until("it is as before", lambda: demo.get(kind, name)[field] == before[field], 10)
    demo.wait_ready("kafkacluster", "demo", 90)
    assert "PutBack" in {event["reason"] for event in demo.events("demo")}


def test_the_stateful_set_deleted_by_hand(demo):
    before = demo.get("statefulset", "demo")["metadata"]["uid"]
    demo.delete("statefulset", "demo", "--wait=false")
    until("it is back", lambda: demo.get("statefulset", "demo")["metadata"]["uid"] != before, 60)
    demo.wait_ready("kafkacluster", "demo", 120)


def pod_uids(space):
    pods = space.list("pods", "-l", "milena.dev/cluster")
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}


def test_running_brokers_take_a_dynamic_setting(demo):
    before = pod_uids(demo)
    demo.patch("kafkacluster", "demo", {"spec": {"config": {"log.retention.ms": 3600000}}})
    until("the ConfigMap has it",
          lambda: "log.retention.ms=3600000" in demo.get("configmap", "demo")["data"]["broker.properties"], 10)
    steadily("no pod is made anew", lambda: pod_uids(demo) == before, 4)
    # What the specification takes out is removed.
    demo.patch("kafkacluster", "demo", {"spec": {"config": {"log.retention.ms": None}}})
    until("it is gone", lambda: "retention" not in demo.get("configmap", "demo")["data"]["broker.properties"], 10)
    assert pod_uids(demo) == before
    demo.wait_ready("kafkacluster", "demo")


def test_other_changes_roll_brokers_one_by_one(demo):
    before = pod_uids(demo)
    demo.patch("kafkacluster", "demo", {"spec": {"pod": {"annotations": {"test/roll": "1"}}}})
    fewest = 3

    def rolled():
        nonlocal fewest
        pods = demo.list("pods", "-l", "milena.dev/cluster=demo")
        serving = [
            pod for pod in pods
            if not pod["metadata"].get("deletionTimestamp")
            and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        ]
        fewest = min(fewest, len(serving))
        now = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in serving}
        return len(now) == 3 and all(now[name] != before[name] for name in before)

    until("every broker was made anew", rolled, 120, every=0.2)
    assert fewest >= 2, "the next one goes only when the last one serves again"
    demo.wait_ready("kafkacluster", "demo")
    demo.patch("kafkacluster", "demo", {"spec": {"pod": None}})
    until("it was taken out", lambda: "test/roll" not in json.dumps(demo.get("statefulset", "demo")), 10)
    until("every broker was made anew", lambda: demo.ready("kafkacluster", "demo")["reason"] != "Ready", 30)
    demo.wait_ready("kafkacluster", "demo", 120)


def test_scale(operator, space):
    space.apply(cluster("small", 1))
    space.wait_ready("kafkacluster", "small", 90)
    space.run("scale", "kafkacluster/small", "--replicas=2")
    until("two brokers serve", lambda: space.get("kc", "small")["status"]["readyBrokers"] == 2, 90)
    scale = json.loads(kubectl(
        "get", "--raw", f"/apis/milena.dev/v1alpha1/namespaces/{space.name}/kafkaclusters/small/scale"))
    assert scale["status"]["replicas"] == 2 and scale["status"]["selector"]
    # Back, while nothing lies there.
    space.run("scale", "kafkacluster/small", "--replicas=1")
    space.wait_ready("kafkacluster", "small", 60)
    until("one pod is left", lambda: len(pod_uids(space)) == 1, 60)
    # And not while something does: the status says how to go on.
    space.run("scale", "kafkacluster/small", "--replicas=2")
    until("two brokers serve", lambda: space.get("kc", "small")["status"]["readyBrokers"] == 2, 90)
    space.apply({**topic("spread", "small", 4), "spec": {"cluster": "small", "partitions": 4, "replicas": 2}})
    space.wait_ready("kafkatopic", "spread")
    space.run("scale", "kafkacluster/small", "--replicas=1")
    condition = space.wait_reason("kafkacluster", "small", "ScaleDownBlocked")
    assert "set spec.brokers back to 2" in condition["message"]
    # Nor does an operator forget that which has just been started.
    machine.kill_pod_process(operators.working(operator)["metadata"]["name"], operator.name)
    steadily("both brokers stay", lambda: len(pod_uids(space)) == 2, 6)
    operator.run("rollout", "status", "deployment/milena", "--timeout=60s")
    space.delete("kafkatopic", "spread")
    space.wait_ready("kafkacluster", "small", 60)
    until("one pod is left", lambda: len(pod_uids(space)) == 1, 60)


def test_a_name_that_is_taken(space):
    space.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mine-bootstrap"},
                 "spec": {"ports": [{"port": 80}], "selector": {"app": "other"}}})
    space.apply(cluster("mine", 1))
    condition = space.wait_reason("kafkacluster", "mine", "NameTaken")
    assert "mine-bootstrap" in condition["message"]
    assert space.get("service", "mine-bootstrap")["spec"]["selector"] == {"app": "other"}
    space.delete("service", "mine-bootstrap")
    space.wait_ready("kafkacluster", "mine", 90)


def test_volumes_that_cannot_grow_are_reported(space):
    space.apply(cluster("grows", 1))
    space.wait_ready("kafkacluster", "grows", 90)
    space.patch("kafkacluster", "grows", {"spec": {"storage": {"size": "2Gi"}}})
    condition = space.wait_reason("kafkacluster", "grows", "StorageNotResized")
    assert "spec.storage.size" in condition["message"]
    # The rest goes on.
    space.patch("kafkacluster", "grows", {"spec": {"config": {"log.retention.ms": 1000}}})
    until("the ConfigMap follows",
          lambda: "retention" in space.get("configmap", "grows")["data"]["broker.properties"], 10)
