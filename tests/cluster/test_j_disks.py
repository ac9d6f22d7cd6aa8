"""A disk that fails, and a log that cannot be opened: others lead and go on, and it is told."""
import fcntl
import os
import signal
import struct
import time

from harness import replicas
from harness.faults import volume_lost
from harness.wait import until

# FS_IOC_SHUTDOWN of ext4, and its way without writing anything more: every write and sync fails from then on.
SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2


def others_lead(scene, broker, partitions):
    states = replicas.of_topic(scene.space, scene.topic)
    return all(states[one][0] not in (None, broker) for one in partitions)


def out_of_sync(scene, broker, partitions):
    states = replicas.of_topic(scene.space, scene.topic)
    return all(broker not in states[one][2] for one in partitions)


def led_by(scene, broker):
    return [one for one, (leader, _, _) in replicas.of_topic(scene.space, scene.topic).items() if leader == broker]


def test_a_disk_that_fails(scene, load, figure):
    broker, led = 1, led_by(scene, 1)
    assert led
    begun = time.monotonic()
    mount = os.open(scene.disks[broker].path.parent, os.O_RDONLY)
    fcntl.ioctl(mount, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
    os.close(mount)
    until("others lead", lambda: others_lead(scene, broker, led), 15)
    until("it is out of sync everywhere", lambda: out_of_sync(scene, broker, range(scene.partitions)), 15)
    load.flows()
    figure("gaps, s: disk fails", load.gaps(begun, time.monotonic()))
    load.check()
    # A new disk, as a person would give it.
    with volume_lost(scene, broker):
        pass
    replicas.await_whole(scene.space, scene.name, 120)
    load.flows()
    load.end()


def directories(scene):
    """The condition of type LogDirectories, or None."""
    conditions = scene.space.get("kafkacluster", scene.name)["status"]["conditions"]
    return next((one for one in conditions if one["type"] == "LogDirectories"), None)


def note(scene, broker):
    return scene.space.get("lease", scene.pod(broker))["metadata"].get("annotations", {}).get("milena.dev/offline-partitions")


def test_a_log_that_cannot_be_opened(scene, load, figure):
    broker, led = 1, led_by(scene, 1)
    lost = led[0]
    directory = scene.disks[broker].path / f"{scene.topic}-{lost}"
    process = scene.process(broker)
    begun = time.monotonic()
    directory.chmod(0)
    try:
        os.kill(process, signal.SIGKILL)
        scene.await_another(broker, process)
        said = until("its Lease names the partition", lambda: note(scene, broker), 30)
        assert said.endswith(f"/{lost}"), said
        condition = until("the cluster has a condition", lambda: directories(scene), 30)
        assert f"broker {broker} cannot serve 1 of its partitions" in condition["message"]
        assert others_lead(scene, broker, [lost])
        until("its other replicas are in sync again, and that one is not", lambda: all(
            (broker in isr) == (one != lost)
            for one, (_, _, isr) in replicas.of_topic(scene.space, scene.topic).items()), 30)
        load.flows()
        figure("gaps, s: a log cannot be opened", load.gaps(begun, time.monotonic()))
        load.check()
    finally:
        directory.chmod(0o750)
    # It is tried again now and then.
    replicas.await_whole(scene.space, scene.name, 60)
    until("the condition is gone", lambda: not directories(scene), 30)
    assert not note(scene, broker)
    load.flows()
    load.end()
