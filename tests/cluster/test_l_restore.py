"""Etcd is restored from a backup that is older than what brokers have done since."""
import re
import time

import pytest
from harness import etcd, machine, operators
from harness.checker import Checker
from harness.kube import cluster, kubectl, topic
from harness.wait import until

NAME = "demo"
FIELDS = re.compile(r"leaderEpoch=(\d+) partitionEpoch=(\d+)")


@pytest.fixture
def three(operator, space):
    """Three brokers on three nodes, where one replica is enough to go on: what it alone has counts."""
    wanted = cluster(NAME, 3, config={"min.insync.replicas": 1, "offsets.topic.num.partitions": 4})
    space.apply(wanted)
    space.wait_ready("kafkacluster", NAME, 120)
    space.apply(topic("wide", NAME, 6, replicas=3), topic("moves", NAME, 3, replicas=1), topic("gone", NAME))
    for name in ("wide", "moves", "gone"):
        space.wait_ready("kafkatopic", name)
    yield space
    space.delete("kafkacluster", NAME, "--wait=false", "--ignore-not-found")


def bootstrap(space):
    return f"{NAME}-bootstrap.{space.name}.svc:9092"


def states(space):
    """By topic and partition: the text of its state."""
    found = {}
    for chunk in space.list("kafkapartitions", "-l", f"milena.dev/cluster={NAME}"):
        found.update(chunk["spec"]["partitions"])
    return found


def epochs(text):
    return tuple(int(number) for number in FIELDS.search(text).groups())


def replicas(space, name):
    """By partition of a topic: who holds it."""
    id = space.get("kafkatopic", name)["metadata"]["uid"]
    mine = {key: text for key, text in states(space).items() if key.startswith(id)}
    return {int(key.rpartition("/")[2]): text.split()[0].removeprefix("replicas=") for key, text in mine.items()}


def kill(space, broker):
    """The process is killed, others lead, and it comes back and is in sync again."""
    before = space.get("pod", f"{NAME}-{broker}")["status"]["containerStatuses"][0]["restartCount"]
    machine.kill_pod_process(f"{NAME}-{broker}", space.name)
    until("it has another process", lambda: space.get("pod", f"{NAME}-{broker}")["status"]
          ["containerStatuses"][0]["restartCount"] > before, 60)
    until("all is in sync", lambda: space.get("kafkacluster", NAME)["status"]["underReplicatedPartitions"] == 0
          and space.get("kafkacluster", NAME)["status"]["offlinePartitions"] == 0, 90)


def go_on(space, wide, moves):
    """What happens after the backup: leaders and the ISR change, topics come, go and move."""
    wide.more(300)
    for broker in (1, 0):
        kill(space, broker)
        wide.more(100)
    target = {partition: (int(held) + 1) % 3 for partition, held in replicas(space, "moves").items()}
    text = ";".join(f"{partition}={broker}" for partition, broker in target.items())
    space.run("annotate", "kafkatopic", "moves", f"milena.dev/reassign={text}")
    until("the topic has moved", lambda: replicas(space, "moves") == {p: str(b) for p, b in target.items()}, 60)
    moves.more(200)
    space.delete("kafkatopic", "gone")
    space.apply(topic("late", NAME, 2, replicas=3))
    space.wait_ready("kafkatopic", "late")
    with Checker("late", bootstrap(space)) as late:
        late.more(100)
    kill(space, 2)
    wide.more(300)
    moved = {p: str(b) for p, b in target.items()}
    assert replicas(space, "moves") == moved, f"it has moved again: {states(space)}"
    return moved, late


def events(space):
    return {event["reason"] for event in space.events(NAME)}


def conditions(space):
    found = (space.get("kafkacluster", NAME) or {}).get("status", {}).get("conditions", [])
    return {condition["type"]: condition for condition in found}


def adopt(space, id, late):
    """A topic that was made after the backup: its object is gone, and its records are where they were."""
    assert space.get("kafkatopic", "late") is None
    space.apply(topic("late", NAME, 2, annotations={"milena.dev/topic-id": id}, replicas=3))
    space.wait_ready("kafkatopic", "late", 90)
    late.check()


def check_after(space, before, moved, wide, moves):
    """Everything acknowledged is there, epochs have risen, what moved is where it was."""
    until("nothing waits any more", lambda: "Restored" not in conditions(space), 120)
    space.wait_ready("kafkacluster", NAME, 180)
    after = states(space)
    for key, text in after.items():
        if key in before and before[key] != text:
            assert all(new > old for new, old in zip(epochs(text), epochs(before[key]))), (before[key], text)
    assert replicas(space, "moves") == moved, "\n".join(f"{key} {before.get(key)} -> {after[key]}" for key in sorted(after))
    wide.check()
    moves.check()
    # It goes on.
    space.apply(topic("next", NAME, 6, replicas=3))
    space.wait_ready("kafkatopic", "next")
    with Checker("next", bootstrap(space)) as more:
        more.more(200)
        kill(space, 1)
        more.more(200)
    wide.check()


def stop_brokers():
    nodes = kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()
    numbers = [node.removeprefix("node-") for node in nodes]
    for number in numbers:
        machine.tool("stop-node", number)
    return numbers


def test_brokers_are_stopped_and_the_restore_is_declared(three, operator, figure):
    with Checker("wide", bootstrap(three)) as wide, Checker("moves", bootstrap(three)) as moves:
        wide.more(200)
        moves.more(100)
        copy = etcd.backup("stopped")
        moved, late = go_on(three, wide, moves)
        three.run("annotate", "kafkacluster", NAME, "note=after-the-backup")
    before, id = states(three), three.get("kafkatopic", "late")["metadata"]["uid"]
    # One that nothing else needs stays away at first.
    busy = operators.busy_nodes(operator)
    brokers = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in three.list("pods")}
    away, node = next((name, node) for name, node in brokers.items() if node not in busy)
    numbers = stop_brokers()
    etcd.restore(copy)
    assert "note" not in three.get("kafkacluster", NAME)["metadata"].get("annotations", {})
    three.run("annotate", "kafkacluster", NAME, "milena.dev/restored=true")
    begun = time.monotonic()
    for number in numbers:
        if f"node-{number}" != node:
            machine.tool("start-node", number)
    missing = away.rpartition("-")[2]
    until("it says who is waited for", lambda: conditions(three)["Restored"]["reason"] == "WaitingForBrokers"
          and f"waiting for broker {missing}." in conditions(three)["Restored"]["message"], 120)
    assert f"without={missing}" in conditions(three)["Restored"]["message"]
    until("its topics say so", lambda: three.ready("kafkatopic", "wide")["reason"] == "Restoring", 30)
    machine.tool("start-node", node.removeprefix("node-"))
    until("the annotation is gone", lambda: "milena.dev/restored" not in
          three.get("kafkacluster", NAME)["metadata"].get("annotations", {}), 120)
    figure("seconds from a declared restore until all was put back", round(time.monotonic() - begun, 1))
    check_after(three, before, moved, wide, moves)
    told = events(three)
    assert {"RestoreDeclared", "StatesRestored", "RestoreOver"} <= told, told
    # Deleted after the backup: it is back.
    assert three.get("kafkatopic", "gone")
    adopt(three, id, late)


def test_a_broker_that_does_not_come_back_is_given_up(three, operator):
    with Checker("wide", bootstrap(three)) as wide, Checker("moves", bootstrap(three)) as moves:
        wide.more(200)
        moves.more(100)
        copy = etcd.backup("given-up")
        kill(three, 1)
        wide.more(100)
    before = states(three)
    busy = operators.busy_nodes(operator)
    brokers = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in three.list("pods")}
    away, node = next((name, node) for name, node in brokers.items() if node not in busy)
    missing = away.rpartition("-")[2]
    numbers = stop_brokers()
    etcd.restore(copy)
    three.run("annotate", "kafkacluster", NAME, "milena.dev/restored=true")
    for number in numbers:
        if f"node-{number}" != node:
            machine.tool("start-node", number)
    until("it says who is waited for", lambda: conditions(three)["Restored"]["reason"] == "WaitingForBrokers"
          and f"waiting for broker {missing}." in conditions(three)["Restored"]["message"], 120)
    three.run("annotate", "--overwrite", "kafkacluster", NAME, f"milena.dev/restored=true without={missing}")
    until("the annotation is gone", lambda: "milena.dev/restored" not in
          three.get("kafkacluster", NAME)["metadata"].get("annotations", {}), 120)
    until("it is told", lambda: "RestoredWithout" in {event["reason"] for event in three.events("wide")}, 30)
    three.wait_ready("kafkatopic", "wide", 60)
    wide.check()
    # It comes back after all, and knows of nothing that counts any more.
    machine.tool("start-node", node.removeprefix("node-"))
    three.wait_ready("kafkacluster", NAME, 180)
    until("all is in sync", lambda: three.get("kafkacluster", NAME)["status"]["underReplicatedPartitions"] == 0, 90)
    after = states(three)
    assert all(new > old for key in before for new, old in zip(epochs(after[key]), epochs(before[key])))
    wide.check()
    moves.check()


def test_brokers_run_and_nobody_says_so(three, operator, figure):
    with Checker("wide", bootstrap(three)) as wide, Checker("moves", bootstrap(three)) as moves:
        wide.more(200)
        moves.more(100)
        copy = etcd.backup("running")
        moved, late = go_on(three, wide, moves)
    before, id = states(three), three.get("kafkatopic", "late")["metadata"]["uid"]
    begun = time.monotonic()
    etcd.restore(copy)
    until("brokers have told", lambda: "OlderStates" in events(three) and "StatesRestored" in events(three), 120)
    until("everything has its newest state", lambda: all(
        all(new > old for new, old in zip(epochs(text), epochs(before[key])))
        for key, text in states(three).items() if key in before and before[key] != text), 120)
    figure("seconds from a restore that nobody declared until all was put back", round(time.monotonic() - begun, 1))
    check_after(three, before, moved, wide, moves)
    adopt(three, id, late)
