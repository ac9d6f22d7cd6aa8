"""Elections that somebody asks for by name: with Kafka's own tool, and with the annotation of a KafkaTopic."""
import contextlib
import os
import signal
import time

import pytest
from harness import machine, replicas, tools
from harness.kube import cluster, topic
from harness.wait import until

NAME = "demo"
PREFERRED, UNCLEAN = "preferred", "unclean"


def by_tool(space, kind, name, partitions, brokers):
    servers = ",".join(f"{NAME}-{broker}.{NAME}.{space.name}.svc:9092" for broker in brokers)
    for partition in partitions:
        tools.run("org.apache.kafka.tools.LeaderElectionCommand", "--bootstrap-server", servers, "--election-type", kind,
                  "--topic", name, "--partition", partition)


def by_annotation(space, kind, name, partitions, _brokers):
    wanted = ",".join(f"{kind}:{partition}" for partition in partitions)
    space.run("annotate", "kafkatopic", name, f"milena.dev/elect-leaders={wanted}")
    until("the annotation is taken away",
          lambda: "milena.dev/elect-leaders" not in space.get("kafkatopic", name)["metadata"].get("annotations", {}), 30)


@pytest.fixture(params=[by_tool, by_annotation])
def ask(request):
    if request.param is by_tool and not tools.are_there():
        pytest.skip("MILENA_KAFKA_TOOLS is not set")
    return request.param


@pytest.fixture
def three(operator, space):
    space.apply(cluster(NAME, 3, config={"auto.leader.rebalance.enable": False}))
    space.wait_ready("kafkacluster", NAME, 120)
    return space


def make(space, name, partitions, copies, needed):
    space.apply(topic(name, NAME, partitions, replicas=copies, config={"min.insync.replicas": needed}))
    space.wait_ready("kafkatopic", name)
    await_whole(space, name)


def await_whole(space, name):
    def whole():
        return all(leader is not None and set(wanted) == isr for leader, wanted, isr in replicas.of_topic(space, name).values())

    until("every replica is in sync", whole, 120)


def test_preferred(three, ask):
    make(three, "t", 6, 3, 2)
    process = machine.pid_of_pod(f"{NAME}-1", three.name)
    away = [one for one, (_, wanted, _) in replicas.of_topic(three, "t").items() if wanted[0] == 1]
    assert away
    os.kill(process, signal.SIGKILL)
    until("others lead", lambda: all(replicas.of_topic(three, "t")[one][0] != 1 for one in away), 30)
    until("it runs again", lambda: machine.find_pid(f"{NAME}-1", three.name) not in (None, process), 60)
    await_whole(three, "t")
    assert all(replicas.of_topic(three, "t")[one][0] != 1 for one in away), "leadership does not go back by itself here"
    ask(three, PREFERRED, "t", away, (0, 1, 2))
    until("the first replicas lead", lambda: all(replicas.of_topic(three, "t")[one][0] == 1 for one in away), 15)


@contextlib.contextmanager
def paused(space, broker):
    process = machine.pid_of_pod(f"{NAME}-{broker}", space.name)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def test_unclean(three, ask):
    make(three, "u", 1, 2, 1)
    (leader, wanted, _), = replicas.of_topic(three, "u").values()
    follower, = set(wanted) - {leader}
    others = sorted({0, 1, 2} - {leader})
    with paused(three, follower):
        until("the follower is out of sync", lambda: replicas.of_topic(three, "u")[0][2] == {leader}, 30)
        address = f"{NAME}-{leader}.{NAME}.{three.name}.svc:9092"
        machine.inside(*machine.python("admin.py", address, "produce", "u", "only there"))
        lost = machine.pid_of_pod(f"{NAME}-{leader}", three.name)
        os.kill(lost, signal.SIGSTOP)
    try:
        until("nobody leads", lambda: replicas.of_topic(three, "u")[0][0] is None, 30)
        time.sleep(3)
        assert replicas.of_topic(three, "u")[0][0] is None, "who lacks records is not elected unless somebody says so"
        ask(three, UNCLEAN, "u", [0], others)
        until("who is left leads", lambda: replicas.of_topic(three, "u")[0][0] == follower, 15)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(lost, signal.SIGCONT)
    until("it is told", lambda: any(one["reason"] == "UncleanElection" for one in three.events("u")), 30)
    await_whole(three, "u")
    assert replicas.of_topic(three, "u")[0][0] == follower
