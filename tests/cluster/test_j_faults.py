"""The fault matrix: three brokers on three nodes, three replicas, two needed; everything breaks, and nobody notices.

One fault of each kind, and then pairs of faults on two brokers, in an order and at moments that the printed seed decides.
Meanwhile two kinds of clients write and read with the default settings of their libraries. After each step every replica
is in sync again, everything acknowledged has been read, once and in order, and the replicas are the same byte by byte.
"""
import contextlib
import itertools
import os
import random
import time

from harness import machine, replicas
from harness.faults import FAULTS
from harness.load import Consumer
from harness.wait import until

SEED = int(os.environ.get("MILENA_TEST_SEED", random.randrange(1 << 32)))
PAIRS = int(os.environ.get("MILENA_TEST_FAULTS", "2"))


def plan(chance):
    """The steps of a run, each a list of the names of faults that happen together."""
    pairs = list(itertools.combinations(FAULTS, 2))
    chance.shuffle(pairs)
    steps = [*([name] for name in FAULTS), *(list(pair) for pair in itertools.islice(itertools.cycle(pairs), PAIRS))]
    chance.shuffle(steps)
    return steps


def victims(scene, faults, chance):
    """A broker for each fault, no two the same. The cluster's DNS, which is one, keeps its node; operators are two."""
    busy = {pod["spec"].get("nodeName") for pod in scene.dns()}
    free = list(scene.disks)
    chance.shuffle(free)
    chosen = {}
    for name in sorted(faults, key=lambda name: name != "node stopped and started"):
        fit = [one for one in free if name != "node stopped and started" or scene.disks[one].node not in busy]
        chosen[name] = fit[0]
        free.remove(fit[0])
    return chosen


def break_and_heal(scene, load, faults, chance):
    """One step; the gaps of every client around it, and the seconds until every replica was in sync."""
    chosen = victims(scene, faults, chance)
    print(f"{time.strftime('%T')} {chosen}", flush=True)
    begun = time.monotonic()
    with contextlib.ExitStack() as held:
        for name, broker in chosen.items():
            held.enter_context(FAULTS[name](scene, broker))
            time.sleep(chance.uniform(0, 2))
    healed = time.monotonic()
    replicas.await_whole(scene.space, scene.name, 120)
    whole = time.monotonic() - healed
    load.flows()
    return {**load.gaps(begun, time.monotonic()), "in sync again after": round(whole, 1)}


def compare(scene, settled=False):
    """Every partition's replicas on their disks."""
    for partition in range(scene.partitions):
        replicas.compare([disk.path / f"{scene.topic}-{partition}" for disk in scene.disks.values()], settled)


def test_faults_of_every_kind_and_two_at_a_time(scene, load, figure):
    print("MILENA_TEST_SEED =", SEED)
    chance = random.Random(SEED)
    # The longer a fault lasts, the more it finds; the gate has four minutes.
    if PAIRS <= 2:
        scene.hold, scene.pause = 6, 8
    for faults in plan(chance):
        name = " + ".join(faults)
        try:
            found = break_and_heal(scene, load, faults, chance)
            load.check()
            compare(scene)
        except AssertionError as error:
            raise AssertionError(f"{name} (MILENA_TEST_SEED={SEED}): {error}\n{replicas.lacking(scene.space, scene.name)}") from error
        print(f"    {found}", flush=True)
        figure(f"gaps, s: {name}", found)
    scene.space.wait_ready("kafkacluster", scene.name, 120)
    load.end()
    read_anew(scene, load)
    with contextlib.suppress(AssertionError):
        until("every replica goes as far as the others", lambda: is_settled(scene), 30)
    compare(scene, settled=True)


def is_settled(scene):
    try:
        compare(scene, settled=True)
    except AssertionError:
        return False
    return True


def read_anew(scene, load):
    """Who begins now is shown what the others were shown."""
    def start(*arguments):
        return machine.start_inside(*machine.python("load.py", *arguments[:-1], "afterwards"))

    reader = Consumer(start, "librdkafka", scene.bootstrap, scene.topic)
    try:
        for consumer in load.consumers:
            until("as much is read anew", lambda seen=consumer.seen: not seen.keys() - reader.seen.keys(), 60, every=0.5)
            assert consumer.seen == {place: reader.seen[place] for place in consumer.seen}
    finally:
        reader.process.kill()
