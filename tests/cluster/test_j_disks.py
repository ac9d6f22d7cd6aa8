"""A disk that fails: others lead and go on, and its broker begins anew on another one."""
import fcntl
import os
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
