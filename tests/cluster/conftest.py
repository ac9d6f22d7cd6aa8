"""Fixtures: the operator, installed as a user does it, and clusters."""
import json
import os
import re
import time
from pathlib import Path

import pytest
from harness import cuts, machine, tools
from harness.disks import Disk
from harness.faults import Scene
from harness.kube import Namespace, Refused, cluster, helm, kubectl, topic
from harness.load import KINDS, Load
from harness.wait import until

CHART = Path(__file__).parents[2] / "charts/milena"
SYSTEM = "milena-system"
IMAGES = Path(os.environ["MILENA_IMAGES"])
VALUES = ["--set", "operator.image.tag=dev,broker.image.tag=dev,operator.log.format=json"]


@pytest.fixture(scope="session", autouse=True)
def operator():
    """The operator under the strictest rules for pods; every namespace of the tests has them too."""
    machine.tool("load", IMAGES / "operator.tar", IMAGES / "broker.tar")
    if not Namespace().get("namespace", SYSTEM):
        kubectl("create", "namespace", SYSTEM)
    for namespace in (SYSTEM, "default"):
        kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    # A cluster of an earlier run may have it; the images are new.
    helm("upgrade", "--install", "milena", CHART, "-n", SYSTEM, *VALUES, "--set-string",
         f"operator.podAnnotations.run={time.time()}", "--wait", "--timeout", "60s")
    yield Namespace(SYSTEM)


@pytest.fixture(scope="session")
def demo(operator):
    """The cluster of the page, with three brokers, shared by the tests that leave it as it was."""
    space = Namespace("default")
    space.apply(cluster("demo", 3))
    space.wait_ready("kafkacluster", "demo", 120)
    return space


@pytest.fixture
def space(request):
    """A namespace of its own."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-")
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield Namespace(name)
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def scene(operator, space, request):
    """Three brokers, one on each node, with a small disk of its own each, or as many as the parameter says, and a topic
    with three replicas of which two are needed."""
    count = getattr(request, "param", 1)
    nodes = sorted(kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split())
    if len(nodes) < 3:
        reason = "this needs three nodes: NODES=3"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    volumes = {broker: [Disk(space, "demo", broker, node, number) for number in range(count)]
               for broker, node in enumerate(nodes[:3])}
    made, disks = Scene(space, "demo", operator, volumes), [disk for all in volumes.values() for disk in all]
    try:
        for disk in disks:
            disk.make()
        wanted = cluster(made.name, 3, "512Mi", config={"min.insync.replicas": 2, "offsets.topic.num.partitions": 4})
        wanted["spec"]["storage"] |= {"storageClassName": "by-hand", "volumes": count}
        space.apply(wanted)
        space.wait_ready("kafkacluster", made.name, 120)
        space.apply(topic(made.topic, made.name, made.partitions, replicas=3))
        space.wait_ready("kafkatopic", made.topic)
        yield made
    finally:
        cuts.heal()
        space.delete("kafkacluster", made.name, "--wait=false", "--ignore-not-found")
        until("the brokers are gone", lambda: not space.list("pods"), 60)
        for disk in disks:
            disk.destroy()


@pytest.fixture
def load(scene):
    """Clients of three kinds on the scene's topic, each with one that writes and one that reads."""
    kinds = [*KINDS, "java"] if tools.are_there() else KINDS
    made = Load(start_driver, scene.bootstrap, scene.topic, scene.partitions, kinds)
    try:
        made.flows()
        yield made
    finally:
        made.kill()


def start_driver(kind, *arguments):
    """A client of the load, where pods are reached."""
    command = tools.load(*arguments) if kind == "java" else machine.python("load.py", kind, *arguments)
    return machine.start_inside(*command)


@pytest.fixture
def without_operator(operator):
    """Takes the operator away and, at the end of the test if not before, brings it back."""
    scale = Scale(operator)
    scale.down()
    yield scale
    scale.up()


class Scale:
    """The operator's Deployment."""

    def __init__(self, space):
        self.space = space

    def set(self, replicas):
        self.space.run("scale", "deployment/milena", f"--replicas={replicas}")
        until("the operator's pods are as many", lambda: len(self.pods()) == replicas, 60)

    def pods(self):
        return self.space.list("pods", "-l", "app.kubernetes.io/name=milena-operator")

    def down(self):
        self.set(0)

    def up(self, replicas=2):
        self.set(replicas)
        self.space.run("rollout", "status", "deployment/milena", "--timeout=60s", timeout=90)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what a person would look at first."""
    report = (yield).get_result()
    if report.failed and report.when != "teardown":
        try:
            report.sections.append(("operator", kubectl("-n", SYSTEM, "logs", "-l", "app.kubernetes.io/name=milena-operator",
                                                       "--prefix", "--tail=40")))
            report.sections.append(("objects", kubectl("get", "kc,kt,pods", "-A", "-o", "wide")))
            report.sections.append(("events", kubectl("get", "events", "-A", "--sort-by=.lastTimestamp")[-4000:]))
        except Refused as error:
            report.sections.append(("kubectl", str(error)))


def pytest_sessionfinish(session):
    figures = getattr(session.config, "figures", {})
    if figures:
        print("\nfigures: " + json.dumps(figures))


@pytest.fixture
def figure(request):
    """Notes a measured figure, to be printed at the end."""
    figures = request.config.__dict__.setdefault("figures", {})
    return lambda name, value: figures.__setitem__(name, value)
