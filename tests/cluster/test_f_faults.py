"""Faults, each with what was acknowledged checked after it."""
import signal
import time

import pytest
from harness import machine, operators
from harness.checker import Checker
from harness.client import ask
from harness.kube import topic
from harness.wait import steadily, until


@pytest.fixture
def writes(demo, request):
    """A checker that writes to a topic of its own on all brokers."""
    name = "check-" + request.node.name.removeprefix("test_").replace("_", "-").replace("[", "-").replace("]", "")
    demo.apply(topic(name, partitions=6))
    demo.wait_ready("kafkatopic", name)
    with Checker(name) as checker:
        checker.more(500)
        yield checker
    demo.delete("kafkatopic", name)


def uid(demo, pod):
    return demo.get("pod", pod)["metadata"]["uid"]


def restarts(demo, pod):
    return demo.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"]


def test_a_broker_pod_deleted(demo, writes):
    before = uid(demo, "demo-1")
    demo.delete("pod", "demo-1", "--wait=false")
    until("the pod is another one", lambda: uid(demo, "demo-1") != before, 90)
    demo.wait_ready("kafkacluster", "demo", 90)
    writes.more(1000)


def test_a_broker_process_killed(demo, writes, figure):
    before = restarts(demo, "demo-2")
    killed = time.monotonic()
    machine.kill_pod_process("demo-2")
    until("its partitions are offline or it is back", lambda: restarts(demo, "demo-2") > before, 60)
    demo.wait_ready("kafkacluster", "demo", 90)
    writes.more(1000)
    figure("longest gap between acknowledgements around a killed broker, s", round(writes.longest_gap(killed - 1), 2))


def test_every_broker_process_killed(demo, writes):
    for broker in range(3):
        machine.kill_pod_process(f"demo-{broker}")
    time.sleep(2)
    demo.wait_ready("kafkacluster", "demo", 90)
    writes.more(1000)


def test_the_operator_killed_while_fifty_topics_are_applied(demo, operator, writes):
    pod = operators.working(operator)["metadata"]["name"]
    names = [f"fifty-{number}" for number in range(50)]
    for at, name in enumerate(names):
        demo.apply(topic(name, partitions=2))
        if at in (10, 25, 40):
            try:
                machine.kill_pod_process(pod, operator.name)
            except (ProcessLookupError, ValueError):
                pass
    for name in names:
        demo.wait_ready("kafkatopic", name, 90)
    counts = {one["metadata"]["name"]: one["status"]["partitions"] for one in demo.list("kafkatopics")}
    assert all(counts[name] == 2 for name in names)
    writes.more(500)
    demo.run("delete", "kafkatopics", *names)
    left = {one["metadata"]["name"] for one in demo.list("kafkatopics")}
    assert not left & set(names)


def test_another_replica_of_the_operator_takes_over(demo, operator):
    operator.run("rollout", "status", "deployment/milena", "--timeout=60s")
    holder = operator.get("lease", "milena")["spec"]["holderIdentity"]
    # Stopped, not killed: it may come back and must find that it no longer works.
    machine.kill_pod_process(holder, operator.name, signal.SIGSTOP)
    try:
        until("another holds the Lease",
              lambda: operator.get("lease", "milena")["spec"]["holderIdentity"] != holder, 20)
        demo.apply(topic("taken-over", partitions=3))
        demo.wait_ready("kafkatopic", "taken-over")
    finally:
        machine.kill_pod_process(holder, operator.name, signal.SIGCONT)
    time.sleep(3)
    assert operator.get("lease", "milena")["spec"]["holderIdentity"] != holder
    demo.delete("kafkatopic", "taken-over")


def test_the_api_server_away_for_a_minute(demo, writes):
    machine.control_plane("kube-apiserver", signal.SIGSTOP)
    try:
        for _ in range(6):
            time.sleep(10)
            # Brokers go on serving meanwhile.
            writes.more(200, timeout=15)
    finally:
        machine.control_plane("kube-apiserver", signal.SIGCONT)
    until("the API server is back", lambda: demo.get("kafkacluster", "demo"), 60, every=1)
    demo.wait_ready("kafkacluster", "demo", 60)
    writes.more(500)
    demo.apply(topic("after-the-outage", partitions=3))
    demo.wait_ready("kafkatopic", "after-the-outage", 30)
    demo.delete("kafkatopic", "after-the-outage")


def node_to_stop(demo, operator):
    """A node with a broker; if there is a choice, one that the operator and the cluster's DNS do not run on."""
    pods = demo.list("pods", "-l", "milena.dev/cluster=demo")
    brokers = {pod["spec"]["nodeName"] for pod in pods}
    busy = operators.busy_nodes(operator)
    return min(brokers, key=lambda node: (node in busy, node)), busy


def test_a_node_stopped_and_started_again(demo, operator, writes, figure):
    node, busy = node_to_stop(demo, operator)
    number = node.removeprefix("node-")
    stopped = time.monotonic()
    machine.tool("stop-node", number)
    if node not in busy:
        # The operator lives on: it sees by the Leases that the broker is gone.
        until("partitions are offline", lambda: demo.get("kc", "demo")["status"]["offlinePartitions"] > 0, 15)
        figure("seconds from a node's power cut until its partitions are known offline", round(time.monotonic() - stopped, 1))
        assert demo.ready("kafkacluster", "demo")["status"] == "False"
    time.sleep(10)
    machine.tool("start-node", number)
    until("the broker serves again", lambda: demo.get("kc", "demo")["status"]["readyBrokers"] == 3, 180)
    demo.wait_ready("kafkacluster", "demo", 180)
    writes.more(500, timeout=120)
    steadily("it stays so", lambda: demo.ready("kafkacluster", "demo")["status"] == "True", 5)
    assert ask("topics")
