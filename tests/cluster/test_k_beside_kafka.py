"""The same faults under the same clients, beside Apache Kafka on the same machine. Not a part of the gate:

    MILENA_TEST_BESIDE_KAFKA=3 tests/cluster/run -s test_k_beside_kafka.py     # three rounds, a broker each

Milena runs in pods of the test cluster, whose control plane, kubelets and operator take their part of the processors; Kafka
runs as three processes, each broker and controller. A killed process is started again at once: by the kubelet, and here.
"""
import os
import statistics
import time

import pytest
from harness import apache, replicas
from harness.faults import deleted, killed, paused, powered_off
from harness.load import Load
from harness.wait import until

ROUNDS = int(os.environ.get("MILENA_TEST_BESIDE_KAFKA", "0"))
# Seconds that a lost broker is away, and that a paused one is stopped.
AWAY = 20

pytestmark = pytest.mark.skipif(not ROUNDS, reason="a comparison, not a check: set MILENA_TEST_BESIDE_KAFKA to the number of rounds")


def measure(load, fault, is_whole, notes):
    """One fault; the gap of each client goes to the notes."""
    begun = time.monotonic()
    fault()
    # Until the longest time-out is over after which a broker is missed, everything may look whole.
    time.sleep(12)
    until("every replica is in sync", is_whole, 120, every=0.3)
    load.flows()
    for name, gap in load.gaps(begun, time.monotonic()).items():
        notes.setdefault(name, []).append(gap)
    load.check()


def rounds(load, faults, is_whole, leaders):
    """By fault and client the gaps of all rounds. `leaders` are the leaders of the partitions: the broker with the most is
    hit, or the one with the fewest where the fault is a follower's."""
    notes = {name: {} for name in faults}
    # Clients and servers are warm after the first.
    measure(load, lambda: next(iter(faults.values()))(0), is_whole, {})
    for _ in range(ROUNDS):
        for name, fault in faults.items():
            led = leaders()
            broker = (min if "follower" in name else max)(range(3), key=led.count)
            measure(load, lambda fault=fault, broker=broker: fault(broker), is_whole, notes[name])
            time.sleep(5)
    return notes


def show(figure, server, notes):
    for fault, gaps in notes.items():
        for client, all in gaps.items():
            figure(f"{server}, {fault}: {client}", f"{statistics.median(all):.2f} ({min(all):.2f}–{max(all):.2f}) s")


def test_milena(scene, load, figure):
    scene.pause = scene.hold = AWAY

    def faulty(fault):
        def run(broker):
            with fault(scene, broker):
                pass

        return run

    show(figure, "Milena", rounds(load, {
        "the leader killed": faulty(killed),
        "the leader stopped in order": faulty(deleted),
        "the leader lost": faulty(powered_off),
        "a follower paused": faulty(paused),
        "the leader paused": faulty(paused),
    }, lambda: not replicas.lacking(scene.space, scene.name),
        lambda: [leader for leader, _, _ in replicas.states(scene.space, scene.name).values()]))
    load.end()


def test_apache_kafka(figure):
    kafka = apache.Apache()
    load = None
    try:
        kafka.start()
        kafka.create("matrix", 6)
        load = Load(apache.client, kafka.bootstrap, "matrix", 6)
        load.flows()
        show(figure, "Apache Kafka", rounds(load, {
            "the leader killed": kafka.kill,
            "the leader stopped in order": kafka.stop,
            "the leader lost": lambda broker: kafka.kill(broker, AWAY),
            "a follower paused": lambda broker: kafka.pause(broker, AWAY),
            "the leader paused": lambda broker: kafka.pause(broker, AWAY),
        }, lambda: kafka.is_whole("matrix"), lambda: kafka.leaders("matrix")))
        load.end()
    finally:
        if load:
            load.kill()
        kafka.close()
