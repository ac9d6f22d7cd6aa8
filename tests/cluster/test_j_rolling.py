"""Brokers change places under load: nodes are drained, settings and images change, and clients' retries hide all of it."""
import time

from harness import machine, replicas
from harness.kube import kubectl
from harness.wait import until

SETTING = "group.max.size"
# Seconds that no client may wait in while brokers stop in order.
GAP = 5


def pods(scene):
    """By name the uid of each pod that serves."""
    found = {}
    for pod in scene.space.list("pods", "-l", f"milena.dev/cluster={scene.name}"):
        conditions = pod["status"].get("conditions", [])
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        if ready and not pod["metadata"].get("deletionTimestamp"):
            found[pod["metadata"]["name"]] = pod["metadata"]["uid"]
    return found


def no_gap(load, figure, what, begun):
    gaps = load.gaps(begun, time.monotonic())
    figure(f"{what}: gaps, s", gaps)
    assert max(gaps.values()) < GAP


def rolled(scene, load, figure, what, change):
    """The change makes every broker anew, one after the other, and nobody notices."""
    before, begun = pods(scene), time.monotonic()
    change()
    until("every broker was made anew",
          lambda: len(now := pods(scene)) == 3 and all(now[name] != uid for name, uid in before.items()), 180, every=0.3)
    scene.space.wait_ready("kafkacluster", scene.name, 60)
    replicas.await_whole(scene.space, scene.name)
    took = time.monotonic() - begun
    load.flows()
    figure(f"{what}: seconds a broker", round(took / 3, 1))
    no_gap(load, figure, what, begun)
    load.check()


def test_settings_and_images_roll_brokers_under_load(scene, load, figure):
    rolled(scene, load, figure, "a setting that needs a restart",
           lambda: scene.space.patch("kafkacluster", scene.name, {"spec": {"config": {SETTING: 1000}}}))
    images = {pod["spec"]["containers"][0]["image"] for pod in scene.space.list("pods")}
    new = machine.tag_image(images.pop(), "next")
    rolled(scene, load, figure, "an image of another tag",
           lambda: scene.space.patch("kafkacluster", scene.name, {"spec": {"image": new}}))
    load.end()


def test_a_node_drained_under_load(scene, load, figure):
    """The budget lets one broker go at a time; its volume is on the node, so it waits for the node's return."""
    dns = {pod["spec"]["nodeName"] for pod in scene.dns()}
    broker = next(broker for broker, disk in scene.disks.items() if disk.node not in dns)
    node, begun = scene.disks[broker].node, time.monotonic()
    try:
        kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s", timeout=150)
        figure("kubectl drain, s", round(time.monotonic() - begun, 1))
        until("the broker leads nothing",
              lambda: all(leader != broker for leader, _, _ in replicas.states(scene.space, scene.name).values()), 30)
        load.flows(100)
        refused = kubectl("get", "poddisruptionbudget", scene.name, "-n", scene.space.name,
                          "-o", "jsonpath={.status.disruptionsAllowed}")
        assert refused == "0", "no second broker may be evicted meanwhile"
    finally:
        kubectl("uncordon", node)
    replicas.await_whole(scene.space, scene.name)
    scene.space.wait_ready("kafkacluster", scene.name, 60)
    load.flows()
    no_gap(load, figure, "kubectl drain and uncordon", begun)
    load.end()
