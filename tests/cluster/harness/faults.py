"""What can go wrong with a broker. Each fault is a context: it begins, it is held for a while, it ends."""
import contextlib
import os
import signal
import time

from harness import cuts, machine
from harness.kube import Namespace
from harness.wait import until


class Scene:
    """A cluster with one broker a node, each on disks of its own, and one topic."""

    topic, partitions = "matrix", 6
    # Seconds that a fault lasts which does not end by itself, and that a process is stopped.
    hold, pause = 10, 20

    def __init__(self, space, name, operator, volumes):
        self.space, self.name, self.operator, self.volumes = space, name, operator, volumes
        # The first of each.
        self.disks = {broker: disks[0] for broker, disks in volumes.items()}
        self.bootstrap = f"{name}-bootstrap.{space.name}.svc:9092"

    def pod(self, broker):
        return f"{self.name}-{broker}"

    def address(self, broker):
        return until(f"broker {broker} has an address",
                     lambda: self.space.get("pod", self.pod(broker))["status"]["podIP"], 60)

    def process(self, broker):
        return until(f"broker {broker} runs", lambda: machine.find_pid(self.pod(broker), self.space.name), 60)

    def await_another(self, broker, process):
        """The broker runs again, as another process."""
        until(f"broker {broker} is another process than {process}",
              lambda: machine.find_pid(self.pod(broker), self.space.name) not in (None, process), 90)

    def dns(self):
        return Namespace("kube-system").list("pods", "-l", "k8s-app=kube-dns")

    def operators(self):
        return self.operator.list("pods", "-l", "app.kubernetes.io/name=milena-operator")


@contextlib.contextmanager
def killed(scene, broker):
    """kill -9."""
    process = scene.process(broker)
    os.kill(process, signal.SIGKILL)
    yield
    scene.await_another(broker, process)


@contextlib.contextmanager
def paused(scene, broker):
    """SIGSTOP: the process hangs, its connections stay."""
    process = scene.process(broker)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
        time.sleep(scene.pause)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


@contextlib.contextmanager
def deleted(scene, broker):
    """The pod is deleted in order, and made anew."""
    process = scene.process(broker)
    scene.space.delete("pod", scene.pod(broker), "--wait=false")
    yield
    scene.await_another(broker, process)


@contextlib.contextmanager
def powered_off(scene, broker):
    """The node stops, with its kubelet and every container, and comes back."""
    process, number = scene.process(broker), scene.disks[broker].node.removeprefix("node-")
    machine.tool("stop-node", number)
    try:
        yield
        time.sleep(scene.hold)
    finally:
        machine.tool("start-node", number)
    scene.await_another(broker, process)


@contextlib.contextmanager
def cut_from_brokers(scene, broker):
    """Nothing passes between the broker and the others; clients and the control plane reach all."""
    others = [scene.address(other) for other in scene.disks if other != broker]
    with cuts.between(scene.address(broker), others):
        yield
        time.sleep(scene.hold)


@contextlib.contextmanager
def cut_from_operator(scene, broker):
    operators = [pod["status"]["podIP"] for pod in scene.operators() if pod["status"].get("podIP")]
    with cuts.between(scene.address(broker), operators):
        yield
        time.sleep(scene.hold)


@contextlib.contextmanager
def cut_from_api_server(scene, broker):
    """The broker's Lease expires although it works."""
    with cuts.from_api_server(scene.address(broker)):
        yield
        time.sleep(scene.hold)


@contextlib.contextmanager
def cut_from_everything(scene, broker):
    """Its machine is still there, and nobody hears it any more: neither a refusal nor an end of its connections."""
    with cuts.from_everything(scene.address(broker)):
        yield
        time.sleep(scene.hold)


@contextlib.contextmanager
def disk_full(scene, broker):
    scene.disks[broker].fill()
    try:
        yield
        time.sleep(scene.hold)
    finally:
        scene.disks[broker].empty()


@contextlib.contextmanager
def volume_lost(scene, broker, number=0):
    """Volume, claim and pod are gone: the broker begins on an empty disk, under its own number."""
    disk = scene.volumes[broker][number]
    # None where it fails again and again.
    process = machine.find_pid(scene.pod(broker), scene.space.name)
    scene.space.run("delete", "persistentvolumeclaim", disk.claim, "--wait=false")
    scene.space.run("delete", "pod", scene.pod(broker), "--force", "--grace-period=0", "--wait=false")
    until("the claim is gone or another one", lambda: is_anew(scene, disk), 60)
    disk.destroy()
    disk.make()
    yield
    scene.await_another(broker, process)


def is_anew(scene, disk):
    claim = scene.space.get("persistentvolumeclaim", disk.claim)
    return not claim or claim["status"]["phase"] != "Bound"


@contextlib.contextmanager
def operator_killed(scene, _broker):
    """Whoever decides is away for a moment."""
    running = {pod["metadata"]["name"]: machine.find_pid(pod["metadata"]["name"], scene.operator.name)
               for pod in scene.operators()}
    for process in filter(None, running.values()):
        os.kill(process, signal.SIGKILL)

    def is_back():
        """One that was started again is ready: the other's node may be stopped meanwhile."""
        again = [name for name, process in running.items()
                 if machine.find_pid(name, scene.operator.name) not in (None, process)]
        pods = (scene.operator.get("pod", name) for name in again)
        return any(one["ready"] for pod in pods if pod for one in pod["status"].get("containerStatuses", []))

    yield
    until("the operator is back", is_back, 60)


# Name in the table of gaps -> fault.
FAULTS = {
    "killed (kill -9)": killed,
    "paused (SIGSTOP)": paused,
    "pod deleted": deleted,
    "node stopped and started": powered_off,
    "cut from the other brokers": cut_from_brokers,
    "cut from the operator": cut_from_operator,
    "cut from the API server": cut_from_api_server,
    "cut from everything": cut_from_everything,
    "disk full": disk_full,
    "volume lost": volume_lost,
    "operator killed": operator_killed,
}
