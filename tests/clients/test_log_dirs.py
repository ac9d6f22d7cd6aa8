"""Log directories: what is made durable, and what a disk that fails takes with it."""

import json
import os
import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from harness import tools, wait, wire
from harness.disk import Disk
from harness.records import Record, numbered

pytestmark = pytest.mark.own_broker
STORAGE_ERROR, LOG_DIR_NOT_FOUND, UNKNOWN_TOPIC = 56, 57, 3


@pytest.fixture
def disks(tmp_path):
    """A function that mounts small disks which go with the test."""
    mounted = []

    def mount(name, **options):
        mounted.append(Disk(tmp_path, name, **options))
        return mounted[-1]

    yield mount
    for disk in mounted:
        disk.unmount()


def test_flush_messages_waits_for_the_disk_and_many_wait_together(own_broker, admin_of, name):
    """Sixteen connections write to partitions of their own; each record is on disk before it is acknowledged."""
    partitions, records = 16, 20
    admin = admin_of(own_broker)
    admin.create(name, partitions=partitions, flush_messages=1)
    failed = []

    def write(partition):
        with wire.Connection(own_broker.bootstrap) as connection:
            for number in range(records):
                code, offset = connection.produce(name, partition, wire.batch([b"%d" % number]))
                if (code, offset) != (0, number):
                    failed.append((partition, code, offset))

    began = time.monotonic()
    threads = [threading.Thread(target=write, args=(partition,)) for partition in range(partitions)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert not failed
    print(f"{partitions * records} appends, each on disk, in {time.monotonic() - began:.2f} s")
    read = admin.consume(name, partitions=range(partitions), count=partitions * records, timeout=30)
    assert len(read) == partitions * records


def test_a_broker_whose_only_disk_fails_says_so_and_ends(start_broker, admin_of, disks, name):
    disk = disks("only")
    broker = start_broker(data_dir=disk.path / "data")
    admin = admin_of(broker)
    admin.create(name, flush_messages=1)
    admin.produce(name, numbered(10), acks="all")
    disk.fail()
    with wire.Connection(broker.bootstrap, timeout=10) as connection:
        try:
            code, _ = connection.produce(name, 0, wire.batch([b"lost"]))
            assert code == STORAGE_ERROR
        except OSError:
            pass  # it ended before it could answer
    status = wait.until(broker.process.poll, 20, "the end of the broker")
    assert status == 1, "an error, so that whoever started it knows"
    output = broker.output()
    assert output.count("LOG DIRECTORY OUT OF SERVICE") == 1, "said once"
    assert "milena-broker: no log directory is left: " in output
    disk.unmount()
    disk.mount()
    broker.start()
    read = admin.consume(name, count=10, timeout=20)
    assert [record.value for record in read] == [record.value for record in numbered(10)]
    admin.produce(name, [Record(b"goes on")], acks="all")


def describe(broker):
    """kafka-log-dirs.sh --describe: the directories of the only broker."""
    out = tools.must(
        "java", "org.apache.kafka.tools.LogDirsCommand", "--bootstrap-server", broker.bootstrap, "--describe"
    )
    (described,) = json.loads(out.splitlines()[-1])["brokers"]
    return described["logDirs"]


def directories(broker):
    """By the directory's folder, its error and its partitions."""
    return {
        Path(one["logDir"]): (one["error"], {part["partition"] for part in one["partitions"] if not part["isFuture"]})
        for one in describe(broker)
    }


def futures(broker):
    """Partitions that are on their way."""
    return [part["partition"] for one in describe(broker) for part in one["partitions"] if part["isFuture"]]


@pytest.fixture
def three_disks(start_broker, disks):
    """A broker with a log directory on each of three disks."""
    mounted = [disks(name) for name in ("one", "two", "three")]
    paths = [disk.path / "data" for disk in mounted]
    return start_broker(data_dir=",".join(map(str, paths))), mounted, paths


def test_a_disk_that_fails_takes_only_its_partitions(three_disks, admin_of, name):
    broker, disks, paths = three_disks
    admin, partitions = admin_of(broker), 6
    admin.create(name, partitions=partitions, flush_messages=1)
    ours = {f"{name}-{index}" for index in range(partitions)}
    at = {path: found & ours for path, (_, found) in directories(broker).items()}
    assert [len(at[path]) for path in paths] == [2, 2, 2], "spread evenly"

    def produce(text):
        """What each partition answers."""
        with wire.Connection(broker.bootstrap) as connection:
            batch = wire.batch([text])
            return {f"{name}-{index}": connection.produce_once(name, index, batch) for index in range(partitions)}

    assert {code for code, _ in produce(b"before").values()} == {0}
    disks[1].fail()
    lost = at[paths[1]]
    wait.until(lambda: {part for part, (code, _) in produce(b"after").items() if code} == lost, 20, "two offline")
    assert {code for code, _ in produce(b"after").values()} == {0, STORAGE_ERROR}
    found = directories(broker)
    assert found[paths[1]] == ("org.apache.kafka.common.errors.KafkaStorageException", set())
    assert [found[path][0] for path in (paths[0], paths[2])] == [None, None]
    assert broker.output().count("LOG DIRECTORY OUT OF SERVICE") == 1
    admin.create(f"{name}-new", partitions=4)
    found = directories(broker)
    assert all(any(part.startswith(f"{name}-new-") for part in found[paths[index]][1]) for index in (0, 2))

    # A start without the disk: the same partitions are away, and none of them is made anew in its place.
    assert broker.stop() == 0
    disks[1].unmount()
    paths[1].write_text("no folder can be made here: the disk is away")
    broker.start()
    codes = produce(b"without")
    assert {part for part, (code, _) in codes.items() if code} == lost, codes
    assert directories(broker)[paths[1]][0], "told of, though it could not be opened"

    # The disk is back, and its partitions with what was acknowledged.
    assert broker.stop() == 0
    paths[1].unlink()
    disks[1].mount()
    broker.start()
    assert {code for code, _ in produce(b"back").values()} == {0}
    for index in range(partitions):
        values = [record.value for record in admin.consume(name, partitions=[index], count=2, timeout=20)]
        assert values[0] == b"before"
    assert all(found & ours == at[path] for path, (_, found) in directories(broker).items()), "where they were"


def test_a_partition_in_two_directories_is_reported_and_not_served(start_broker, admin_of, tmp_path, name):
    paths = [tmp_path / "a", tmp_path / "b"]
    broker = start_broker(arguments=["--config", f"log.dirs={paths[0]},{paths[1]}"])
    admin = admin_of(broker)
    admin.create(name, partitions=2)
    admin.produce(name, [Record(b"x", partition=0), Record(b"y", partition=1)], acks="all")
    broker.stop()
    here, there = paths if (paths[0] / f"{name}-0").exists() else paths[::-1]
    shutil.copytree(here / f"{name}-0", there / f"{name}-0")
    broker.start()
    with wire.Connection(broker.bootstrap) as connection:
        assert connection.produce_once(name, 0, wire.batch([b"no"]))[0] == STORAGE_ERROR
        assert connection.produce_once(name, 1, wire.batch([b"yes"])) == (0, 1)
    assert "it is in several log directories" in broker.output()
    broker.stop()
    shutil.rmtree(there / f"{name}-0")
    broker.start()
    with wire.Connection(broker.bootstrap) as connection:
        assert connection.produce_once(name, 0, wire.batch([b"yes"])) == (0, 1)


class Writer(threading.Thread):
    """Appends numbers to a partition until it is told to end; every one of them must be acknowledged in order."""

    def __init__(self, broker, topic):
        super().__init__(daemon=True)
        self.broker, self.topic, self.count, self.going, self.refused = broker, topic, 0, True, []

    def run(self):
        with wire.Connection(self.broker.bootstrap, timeout=30) as connection:
            while self.going:
                code, offset = connection.produce_once(self.topic, 0, wire.batch([b"%d" % self.count]))
                if code:
                    self.refused.append(code)
                    continue
                assert offset == self.count, "an offset was given twice or left out"
                self.count += 1

    def end(self):
        self.going = False
        self.join(30)
        return self.count


def test_a_replica_moves_while_it_is_written_and_read(start_broker, admin_of, tmp_path, name):
    """It goes from one directory to another and back, under load; clients see nothing of it."""
    paths = [tmp_path / "a", tmp_path / "b"]
    broker = start_broker(data_dir=f"{paths[0]},{paths[1]}")
    admin = admin_of(broker)
    admin.create(name, segment_bytes=1 << 20, retention_ms=-1)
    # Megabytes that are there before, in several segments.
    for _ in range(20):
        admin.produce(f"{name}-bulk", [Record(bytes(100_000)) for _ in range(2)], acks="all")
    writer = Writer(broker, name)
    writer.start()

    def place(topic):
        return next(path for path in paths if (path / f"{topic}-0").is_dir())

    def move(topic, to):
        with wire.Connection(broker.bootstrap) as connection:
            assert connection.alter_replica_log_dirs(str(to), topic, 0) == 0
        # Kafka's tool shows copies under way and where partitions are.
        there = f"{topic}-0"
        wait.until(lambda: there in directories(broker)[to][1] and not futures(broker), 60, "the end of the move")

    for topic in (name, f"{name}-bulk", name):
        start = place(topic)
        to = paths[1 - paths.index(start)]
        move(topic, to)
        assert (to / f"{topic}-0").is_dir() and not (start / f"{topic}-0").exists()
    before = writer.count
    wait.until(lambda: writer.count > before + 50, 20, "writes after the moves")
    count = writer.end()
    assert not writer.refused, "a move is no trouble that clients see"
    for kill in (False, True):
        broker.restart(kill=kill)
        read = admin.consume(name, count=count, timeout=30)
        assert [int(record.value) for record in read] == list(range(count))
    assert len(admin.consume(f"{name}-bulk", count=40, timeout=30)) == 40
    assert not [path for folder in paths for path in folder.glob("*-future")]


MOVE_RATE = "replica.alter.log.dirs.io.max.bytes.per.second"


def test_a_move_keeps_to_its_rate_which_may_change_meanwhile(start_broker, admin_of, disks, name):
    """From one disk to another: slower than a piece that is copied at once, faster, then as fast as it goes."""
    paths = [disks(part).path / "data" for part in ("one", "two")]
    broker = start_broker(data_dir=",".join(map(str, paths)))
    admin, count = admin_of(broker), 500
    admin.create(name)
    # A batch is copied whole: many small ones.
    values = [b"%d" % index + os.urandom(40_000) for index in range(count)]
    with wire.Connection(broker.bootstrap) as connection:
        assert all(connection.produce(name, 0, wire.batch([value]))[0] == 0 for value in values)
    here, there = paths if (paths[0] / f"{name}-0").exists() else paths[::-1]

    def set_rate(change):
        tools.must(
            *("configs", "--bootstrap-server", broker.bootstrap, "--alter"),
            *("--entity-type", "brokers", "--entity-name", 0, *change),
        )

    def copied():
        """Bytes of the copy, and when."""
        logs = [file.stat().st_size for file in there.glob(f"{name}-0.*-future/*.log")]
        return sum(logs), time.monotonic()

    def rate_over(seconds):
        (before, began), _ = copied(), time.sleep(seconds)
        after, ended = copied()
        return (after - before) / (ended - began)

    slow, fast = 200_000, 1_000_000
    set_rate(["--add-config", f"{MOVE_RATE}={slow}"])
    with wire.Connection(broker.bootstrap) as connection:
        assert connection.alter_replica_log_dirs(str(there), name, 0) == 0
    wait.until(lambda: copied()[0], 10, "a copy that has begun")
    assert 0.6 * slow < rate_over(5) < 1.4 * slow
    set_rate(["--add-config", f"{MOVE_RATE}={fast}"])
    assert 0.6 * fast < rate_over(4) < 1.4 * fast
    assert (here / f"{name}-0").is_dir(), "it is under way yet"
    began = time.monotonic()
    set_rate(["--delete-config", MOVE_RATE])
    wait.until(lambda: f"{name}-0" in directories(broker)[there][1] and not futures(broker), 60, "the end of the move")
    print(f"the rest took {time.monotonic() - began:.1f} s, two of Kafka's tools included")
    assert [record.value for record in admin.consume(name, count=count, timeout=30)] == values


def test_a_move_that_a_stop_interrupted_goes_on(start_broker, admin_of, tmp_path, name):
    """What the last life has copied is in a directory named as Kafka names it; a copy of nobody's goes."""
    paths = [tmp_path / "a", tmp_path / "b"]
    broker = start_broker(data_dir=f"{paths[0]},{paths[1]}")
    admin = admin_of(broker)
    admin.create(name)
    values = numbered(50)
    admin.produce(name, values[:30], acks="all")
    here, there = paths if (paths[0] / f"{name}-0").exists() else paths[::-1]
    copy = f"{name}-0.{'0' * 31}1-future"
    # As a move leaves it that is killed: not all of it, and nothing that says how far it is.
    shutil.copytree(here / f"{name}-0", there / copy)
    shutil.copytree(here / f"{name}-0", there / f"other-0.{'0' * 31}2-future")
    (there / f"other-0.{'0' * 31}2-future" / "partition.metadata").unlink()
    admin.produce(name, values[30:], acks="all")
    broker.restart()
    wait.until(lambda: (there / f"{name}-0").is_dir() and not (here / f"{name}-0").exists(), 30, "the end of the move")
    assert "goes on moving to another log directory" in broker.output()
    read = admin.consume(name, count=50, timeout=30)
    assert [record.value for record in read] == [record.value for record in values]
    wait.until(lambda: not list(there.glob("*-future")), 10, "no copy is left")


def test_a_move_to_nowhere_is_refused(own_broker, admin_of, name):
    admin_of(own_broker).create(name)
    with wire.Connection(own_broker.bootstrap) as connection:
        assert connection.alter_replica_log_dirs("/nowhere", name, 0) == LOG_DIR_NOT_FOUND
        here = str(own_broker.data_dir)
        assert connection.alter_replica_log_dirs(here, name, 0) == 0, "it is there already"
        assert connection.alter_replica_log_dirs(here, "missing", 0) == UNKNOWN_TOPIC


@pytest.fixture
def three_brokers(start_broker, disks, tmp_path):
    """Three brokers of two log directories each; the second one of broker 1 is on a disk of its own."""
    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    disk = disks("second/broker.1")
    config = {"min.insync.replicas": 2, "replica.lag.time.max.ms": 2000}
    return start_broker(data_dir=f"{first},{second}", arguments=["--brokers", "3"], config=config), disk


def test_a_failed_disk_gives_its_leadership_up(three_brokers, admin_of, name):
    """Replicas elsewhere take over what lay on it; what its broker has on its other disk stays."""
    broker, disk = three_brokers
    admin, partitions = admin_of(broker), 12
    # Followers, too, have on disk what they say that they have.
    admin.call("create_topic", topic=name, partitions=partitions, replicas=3, config={"flush.messages": "1"})
    admin.produce(name, [Record(b"%d" % index, partition=index % partitions) for index in range(60)], acks="all")
    lost = {int(path.name.rsplit("-", 1)[1]) for path in disk.path.glob(f"{name}-*")}
    assert 0 < len(lost) < partitions

    def leaders():
        out = tools.must("topics", "--bootstrap-server", broker.bootstrap, "--describe", "--topic", name)
        found = re.findall(r"Partition: (\d+)\s+Leader: (\S+)", out)
        return {int(partition): leader for partition, leader in found}

    before = leaders()
    mine = {partition for partition in lost if before[partition] == "1"}
    assert mine, "broker 1 leads some of what is on the disk"
    disk.fail()

    def moved():
        # What is written finds out that the disk is gone.
        admin.produce(name, [Record(b"more", partition=partition) for partition in range(partitions)], acks="all")
        now = leaders()
        return all(now[partition] in ("0", "2") for partition in lost) and now

    now = wait.until(moved, 60, "other leaders for what lay on the disk", every=0.5)
    kept = {partition for partition in before if before[partition] == "1"} - lost
    assert all(now[partition] == "1" for partition in kept), "what is on its other disk goes on"
    assert broker.process.poll() is None
    read = admin.consume(name, partitions=range(partitions), count=60 + partitions, timeout=30)
    assert {b"%d" % index for index in range(60)} <= {record.value for record in read}


def test_a_disk_that_cannot_be_read_gives_its_leadership_up(three_brokers, admin_of, name):
    """Nothing is written any more: a fetch finds out that the disk is gone, and others lead what lay on it."""
    broker, disk = three_brokers
    admin, partitions, records = admin_of(broker), 6, 240
    admin.call("create_topic", topic=name, partitions=partitions, replicas=3)
    # More than is sent from memory.
    values = [Record(b"%d" % index + b"x" * 20000, partition=index % partitions) for index in range(records)]
    admin.produce(name, values, acks="all")
    logs = list(disk.path.glob(f"{name}-*/*.log"))
    assert logs, "some of it is on the disk"
    # Neither the broker's memory nor the system's has them.
    broker.restart()
    os.sync()
    for log in logs:
        with log.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    disk.fail()
    read = admin.consume(name, partitions=range(partitions), count=records, timeout=60)
    assert sorted(record.value for record in read) == sorted(record.value for record in values)
    assert broker.output().count("LOG DIRECTORY OUT OF SERVICE") == 1
    assert broker.process.poll() is None
