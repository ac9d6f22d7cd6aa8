"""A disk that fails: others lead and go on, and its broker begins anew on another one."""
import time

import pytest
from harness import replicas
from harness.faults import volume_lost
from harness.wait import until


def others_lead(scene, broker, partitions):
    states = replicas.of_topic(scene.space, scene.topic)
    return all(states[one][0] not in (None, broker) for one in partitions)


def out_of_sync(scene, broker, partitions):
    states = replicas.of_topic(scene.space, scene.topic)
    return all(broker not in states[one][2] for one in partitions)


def led_by(scene, broker):
    return [one for one, (leader, _, _) in replicas.of_topic(scene.space, scene.topic).items() if leader == broker]


def log_directories(scene):
    """The condition of that type, or None."""
    conditions = scene.space.get("kafkacluster", scene.name)["status"]["conditions"]
    return next((one for one in conditions if one["type"] == "LogDirectories"), None)


def test_a_disk_that_fails(scene, load, figure):
    broker, led = 1, led_by(scene, 1)
    assert led
    begun = time.monotonic()
    scene.disks[broker].fail()
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


@pytest.mark.parametrize("scene", [2], indirect=True)
def test_one_disk_of_two_that_fails(scene, load, figure):
    """The first, which had whatever a broker keeps once."""
    broker, (failing, other) = 1, scene.volumes[1]
    process, led = scene.process(broker), set(led_by(scene, broker))
    gone, kept = failing.partitions(scene.topic), other.partitions(scene.topic)
    assert gone and kept and gone | kept == set(range(scene.partitions)) and led & kept, (gone, kept, led)
    begun = time.monotonic()
    failing.fail()
    until("others lead what was on it", lambda: others_lead(scene, broker, gone), 15)
    until("it is out of sync there", lambda: out_of_sync(scene, broker, gone), 15)
    load.flows()
    figure("gaps, s: one disk of two fails", load.gaps(begun, time.monotonic()))
    load.check()
    told = until("the KafkaCluster tells", lambda: log_directories(scene), 15)
    assert told["status"] == "False" and f"broker {broker} cannot serve" in told["message"], told
    states = replicas.of_topic(scene.space, scene.topic)
    assert all(broker in states[one][2] for one in kept), f"what is on the other disk stays in sync: {states}"
    assert {one for one in kept if states[one][0] == broker} >= led & kept, f"and is led as before: {states}"
    assert scene.process(broker) == process, "the broker goes on"
    # A new disk, as a person would give it.
    with volume_lost(scene, broker):
        pass
    replicas.await_whole(scene.space, scene.name, 120)
    until("there is nothing to tell", lambda: not log_directories(scene), 30)
    load.flows()
    load.end()
