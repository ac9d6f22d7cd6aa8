"""Log directories: what is made durable, and what a disk that fails takes with it."""

import threading
import time

import pytest

from harness import wait, wire
from harness.disk import Disk
from harness.records import Record, numbered

pytestmark = pytest.mark.own_broker
STORAGE_ERROR = 56


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
    assert "milena-broker: no log directory is left: log directory" in output
    disk.unmount()
    disk.mount()
    broker.start()
    read = admin.consume(name, count=10, timeout=20)
    assert [record.value for record in read] == [record.value for record in numbered(10)]
    admin.produce(name, [Record(b"goes on")], acks="all")
