"""A broker is lost, and the others go on: three replicas, two of them needed."""
import re
import time

import pytest
from harness import machine, operators
from harness.checker import Checker
from harness.kube import topic
from harness.wait import until

PARTITIONS = 6


class Replicated:
    """A topic with three replicas, somebody who writes to it, and the states of its partitions."""

    def __init__(self, demo, name, writes):
        self.demo, self.name, self.writes = demo, name, writes
        self.id = demo.get("kafkatopic", name)["status"]["topicId"]

    def states(self):
        """By partition: leader (None for none) and the brokers of the ISR."""
        states = {}
        for chunk in self.demo.list("kafkapartitions"):
            for key, text in chunk["spec"]["partitions"].items():
                if key.startswith(self.id):
                    fields = dict(field.partition("=")[::2] for field in text.split())
                    isr = {int(member.split(".")[0]) for member in fields["isr"].split(",") if member}
                    leader = re.fullmatch(r"\d+", fields["leader"])
                    states[key] = (int(fields["leader"]) if leader else None, isr)
        assert len(states) == PARTITIONS
        return states.values()

    def led_by(self, broker):
        return [leader for leader, _ in self.states() if leader == broker]

    def whole(self):
        return all(leader is not None and isr == {0, 1, 2} for leader, isr in self.states())

    def await_whole(self, timeout=120):
        until("every partition has a leader and all three replicas in sync", self.whole, timeout)


@pytest.fixture
def replicated(demo, request):
    demo.wait_ready("kafkacluster", "demo", 120)
    name = request.node.name.removeprefix("test_").replace("_", "-")
    demo.apply(topic(name, partitions=PARTITIONS, replicas=3, config={"min.insync.replicas": 2}))
    demo.wait_ready("kafkatopic", name)
    with Checker(name) as writes:
        writes.more(500)
        made = Replicated(demo, name, writes)
        made.await_whole()
        yield made
    demo.delete("kafkatopic", name)


def test_a_killed_process_is_replaced_by_its_followers(replicated, figure):
    assert replicated.led_by(2)
    killed = time.monotonic()
    machine.kill_pod_process("demo-2")
    until("others lead", lambda: not replicated.led_by(2), 10, every=0)
    figure("seconds from a killed broker until others lead, as kubectl sees it", round(time.monotonic() - killed, 2))
    replicated.writes.more(1000)
    replicated.await_whole()
    replicated.writes.more(500)
    gap = replicated.writes.longest_gap(killed - 1)
    figure("longest gap between acknowledgements around a killed broker with three replicas, s", round(gap, 2))
    assert gap < 5


def test_a_deleted_pod_hands_over_first(replicated, figure):
    deleted = time.monotonic()
    before = replicated.demo.get("pod", "demo-1")["metadata"]["uid"]
    replicated.demo.delete("pod", "demo-1", "--wait=false")
    until("the pod is another one", lambda: replicated.demo.get("pod", "demo-1")["metadata"]["uid"] != before, 90)
    replicated.await_whole()
    replicated.writes.more(500)
    gap = replicated.writes.longest_gap(deleted - 1)
    figure("longest gap between acknowledgements around a deleted pod with three replicas, s", round(gap, 2))
    assert gap < 5
    assert not replicated.writes.trouble


def test_the_node_of_a_leader_and_of_the_working_operator_is_lost(replicated, operator, figure):
    demo, node = replicated.demo, operators.working(operator)["spec"]["nodeName"]
    pod = next(one for one in demo.list("pods", "-l", "milena.dev/cluster=demo") if one["spec"]["nodeName"] == node)
    broker = int(pod["metadata"]["name"].rpartition("-")[2])
    assert replicated.led_by(broker)
    number, lost = node.removeprefix("node-"), time.monotonic()
    machine.tool("stop-node", number)
    try:
        until("others lead", lambda: not replicated.led_by(broker), 10, every=0)
        took = round(time.monotonic() - lost, 2)
    finally:
        machine.tool("start-node", number)
    figure("seconds from the loss of a node with a leader and the working operator until others lead", took)
    assert operators.working(operator)["spec"]["nodeName"] != node
    until("the broker serves again", lambda: demo.get("kc", "demo")["status"]["readyBrokers"] == 3, 180)
    replicated.await_whole()
    replicated.writes.more(500, timeout=120)
    assert took < 6
