"""The broker dies, its disk is torn or full: what was acknowledged is there afterwards, once and in order."""

import os
import random
import subprocess
import threading
import time

import pytest

from harness import segment, wait, wire
from harness.clients import BY_NAME
from harness.driver import ClientError
from harness.records import Record, contents, numbered

pytestmark = pytest.mark.own_broker
KILLS = int(os.environ.get("MILENA_TEST_KILLS", "6"))
SEED = int(os.environ.get("MILENA_TEST_SEED", random.randrange(1 << 32)))
PRODUCERS = ["confluent-kafka 2.16.1", "Java client 4.3", "kafka-python 3.0.12"]
PARTITIONS = 3


class Commits(threading.Thread):
    """Commits ever higher offsets, and knows the last one that was acknowledged."""

    def __init__(self, driver, group, topic):
        super().__init__(daemon=True)
        self.driver, self.group, self.topic = driver, group, topic
        self.offset = self.acknowledged = 0
        self.going = True

    def run(self):
        while self.going:
            self.offset += 1
            try:
                self.driver.call("commit_alone", group=self.group, topic=self.topic, partition=0, offset=self.offset)
                self.acknowledged = self.offset
            except ClientError:
                pass  # the broker is away: this one may or may not be there
            time.sleep(0.01)

    def end(self):
        self.going = False
        self.join(30)


def read_all(admin, topic):
    """Every record of the topic, up to the offsets that the broker calls its latest."""
    ends = [admin.client.offsets(admin.bootstrap, topic, partition, "latest") for partition in range(PARTITIONS)]
    read = admin.consume(topic, partitions=range(PARTITIONS), count=sum(ends), timeout=60)
    assert len(read) == sum(ends)
    return read


def check(read, outcomes):
    """Every acknowledged record is at its offset; nothing is there twice; each producer's order is kept."""
    at = {(record.partition, record.offset): record.value.decode() for record in read}
    values = [record.value.decode() for record in read]
    assert len(values) == len(set(values)), "an idempotent producer's record is there twice"
    for producer, outcome in outcomes.items():
        assert outcome["acked"], f"{producer}: nothing was acknowledged: {outcome['failed'][:3]}"
        lost = [place for place in outcome["acked"] if at.get((place[1], place[2])) != place[0]]
        assert not lost, f"{producer}: {len(lost)} of {len(outcome['acked'])} acknowledged are not there: {lost[:5]}"
        for partition in range(PARTITIONS):
            order = [
                int(record.value.decode().rsplit("-", 1)[1])
                for record in read
                if record.partition == partition and record.value.decode().startswith(producer)
            ]
            assert order == sorted(order), f"{producer}: partition {partition} is out of order"


def test_kill_9_at_random_moments(own_broker, admin_of, name):
    print("MILENA_TEST_SEED =", SEED)
    chance, admin = random.Random(SEED), admin_of(own_broker)
    admin.create(name, partitions=PARTITIONS, segment_bytes=1 << 20)
    drivers = {label.split()[0]: BY_NAME[label].open(own_broker.bootstrap) for label in PRODUCERS}
    commits = Commits(BY_NAME[PRODUCERS[0]].open(own_broker.bootstrap), f"{name}-g", name)
    try:
        for label, driver in drivers.items():
            driver.call("flood", name=label, topic=name, partitions=PARTITIONS, pause=0.002)
        commits.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.2, 1.5))
            own_broker.kill()
            acknowledged = commits.acknowledged
            time.sleep(chance.uniform(0.0, 0.3))
            own_broker.start()
            found = admin.committed(f"{name}-g", name)
            assert (found or 0) >= acknowledged, f"committed {acknowledged}, found {found}"
        outcomes = {label: driver.call("flood_stop", name=label, timeout=90) for label, driver in drivers.items()}
        commits.end()
    finally:
        for driver in [*drivers.values(), commits.driver]:
            driver.close()
    own_broker.restart(kill=True)
    check(read_all(admin, name), outcomes)
    found = admin.committed(f"{name}-g", name)
    assert commits.acknowledged <= found <= commits.offset
    failed = {label: outcome["failed"][:3] for label, outcome in outcomes.items() if outcome["failed"]}
    assert not failed, f"retries should have hidden every restart: {failed}"


def test_a_sequence_is_not_taken_twice_across_a_kill(own_broker, admin_of, name):
    """The answer was lost, the broker was killed, the producer sends again: it gets the first answer anew."""
    admin = admin_of(own_broker)
    admin.create(name)
    with wire.Connection(own_broker.bootstrap) as connection:
        producer_id, epoch = connection.init_producer_id()
        first, second = [wire.batch([b"a", b"b"], producer_id, epoch, sequence) for sequence in (0, 2)]
        assert connection.produce(name, 0, first) == (0, 0)
        assert connection.produce(name, 0, first) == (0, 0), "twice on one connection"
        assert connection.produce(name, 0, second) == (0, 2)
    for kill in (True, False):
        own_broker.restart(kill=kill)
        with wire.Connection(own_broker.bootstrap) as connection:
            assert connection.produce(name, 0, second) == (0, 2), "taken twice"
            gap = wire.batch([b"z"], producer_id, epoch, 9)
            assert connection.produce(name, 0, gap)[0] == 45, "OUT_OF_ORDER_SEQUENCE_NUMBER"
            assert connection.init_producer_id()[0] != producer_id, "a producer id is given once"
    assert len(admin.consume(name, count=5, timeout=3)) == 4


def test_a_damaged_batch_on_the_wire_is_refused(broker_with_topic):
    broker, topic = broker_with_topic
    good = wire.batch([b"one", b"two"])
    damaged = good[:-1] + bytes([good[-1] ^ 1])
    with wire.Connection(broker.bootstrap) as connection:
        assert connection.produce(topic, 0, damaged)[0] in (2, 87), "CORRUPT_MESSAGE or INVALID_RECORD"
        assert connection.produce(topic, 0, good) == (0, 0)


@pytest.fixture
def broker_with_topic(own_broker, admin_of, name):
    admin_of(own_broker).create(name)
    return own_broker, name


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x7f\xff\xff\xff" + b"x" * 100,  # two gigabytes announced
        b"\xff\xff\xff\xff",  # a negative size
        b"\x00\x00\x00\x04\x00\x00\x00\x09",  # a head cut short
        b"\x00\x00\x00\x0a\x03\xe7\x00\x00\x00\x00\x00\x01\xff\xff",  # an API that does not exist
        b"\x00\x00\x00\x19\x00\x03\x00\x00\x00\x00\x00\x01\x00\x01x\x7f\xff\xff\xff" + b"\xff" * 10,  # 2^31 topics
    ],
    ids=["http", "huge", "negative", "short", "unknown", "many"],
)
def test_garbage_closes_the_connection_and_nothing_else(own_broker, admin_of, name, sent):
    before = own_broker.resident_kib()
    with wire.Connection(own_broker.bootstrap, timeout=5) as connection:
        connection.socket.sendall(sent)
        assert connection.is_closed()
    admin_of(own_broker).create(name)
    assert own_broker.resident_kib() - before < 32 * 1024


def written(broker, admin, topic):
    """Ten batches of five records, acknowledged; then the broker is killed. Returns the records and the file."""
    admin.create(topic)
    records = numbered(50)
    for part in range(0, 50, 5):
        admin.produce(topic, records[part : part + 5], acks="all", codec="gzip" if part % 2 else "none")
    broker.kill()
    return records, broker.segments(topic)[-1]


# What happens to the file's end -> how many of the ten batches survive.
TORN = {
    "one byte short": (lambda path, found: segment.cut(path, found[-1].end - 1), 9),
    "cut in the middle of a batch": (
        lambda path, found: segment.cut(path, found[-1].position + found[-1].size // 2),
        9,
    ),
    "cut in the head of a batch": (lambda path, found: segment.cut(path, found[-1].position + 7), 9),
    "cut between two batches": (lambda path, found: segment.cut(path, found[-2].end), 9),
    "three batches gone": (lambda path, found: segment.cut(path, found[-3].position + 1), 7),
    "garbage after the end": (
        lambda path, found: segment.overwrite(path, found[-1].end, random.Random(7).randbytes(500)),
        10,
    ),
    "zeros after the end": (lambda path, found: segment.overwrite(path, found[-1].end, bytes(8192)), 10),
    "a bit flipped in the last batch": (lambda path, found: segment.flip(path, found[-1].end - 3), 9),
    "a bit flipped in the last batch's length": (lambda path, found: segment.flip(path, found[-1].position + 11), 9),
    "all of it gone": (lambda path, _: segment.cut(path, 0), 0),
}


@pytest.mark.parametrize("damage", TORN)
def test_a_torn_tail(own_broker, admin_of, name, damage):
    admin, (tear, survive) = admin_of(own_broker), TORN[damage]
    records, path = written(own_broker, admin, name)
    found = segment.batches(path)
    assert [batch.base_offset for batch in found] == list(range(0, 50, 5)), "one batch a request, in Kafka's format"
    tear(path, found)
    own_broker.start()
    kept = survive * 5
    assert admin.client.offsets(own_broker.bootstrap, name, 0, "latest") == kept
    if kept:
        assert contents(admin.consume(name, count=kept), "value") == contents(records[:kept], "value")
    admin.produce(name, numbered(1, "after"), acks="all")
    own_broker.restart(kill=True)
    read = admin.consume(name, count=kept + 1)
    assert contents(read[-1:], "value", "offset") == [(b"after0", kept)]


def test_lost_and_damaged_indexes_are_built_anew(own_broker, admin_of, name):
    admin = admin_of(own_broker)
    admin.create(name, segment_bytes=1 << 20, index_interval_bytes=4096)
    now = int(time.time() * 1000)
    for part in range(30):
        admin.produce(name, [Record(b"%d " % part + os.urandom(40_000), timestamp=now + part * 1000) for _ in range(3)])
    own_broker.kill()
    files = [path.with_suffix(kind) for path in own_broker.segments(name) for kind in (".index", ".timeindex")]
    assert len(files) >= 4, "several segments"
    for number, path in enumerate(files):
        path.unlink(missing_ok=True) if number % 2 else path.write_bytes(b"\xff" * 100)
    own_broker.start()
    assert len(admin.consume(name, count=90, timeout=20)) == 90
    assert admin.client.offsets(own_broker.bootstrap, name, 0, now + 20_000) == 60
    assert admin.consume(name, start=47, count=1)[0].offset == 47


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB, as a data directory."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "milena-test", place], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"this test mounts a small file system, which needs root: {done.stderr}"
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk(start_broker, admin_of, small_disk, name):
    """A clear error, no crash, and service again once there is space; nothing acknowledged is lost meanwhile."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(8 << 20))
    broker = start_broker(data_dir=small_disk / "data")
    admin, acked, refused = admin_of(broker), [], None
    admin.create(name, segment_bytes=1 << 20)
    for number in range(100):
        record = Record(b"%d " % number + os.urandom(300_000))
        try:
            admin.produce(name, [record], acks="all")
            acked.append(record.value)
        except ClientError as error:
            refused = error
            break
    assert refused, "24 MB took 30 MB"
    assert refused.code == 56 or refused.code == -192, f"KAFKA_STORAGE_ERROR or the client's time-out, not {refused}"
    assert broker.process.poll() is None, "the broker ended"
    assert "DISK FULL" in broker.output() and "log.dir.reserved.bytes" in broker.output()
    for offset in range(1, 40):  # what is reserved is for these
        admin.call("commit_alone", group=f"{name}-g", topic=name, partition=0, offset=offset)
    assert admin.committed(f"{name}-g", name) == 39

    def read():
        got = admin.consume(name, count=len(acked), timeout=20)
        return [record.value for record in got if record.value in set(acked)]

    assert read() == acked
    broker.kill()
    broker.start()  # with the disk still full
    assert read() == acked
    ballast.unlink()

    def accepted():
        try:
            admin.produce(name, [Record(b"space again")], acks="all")
            return True
        except ClientError:
            return False

    wait.until(accepted, 60, "writes taken again")
    broker.restart(kill=True)
    assert read() == acked


def test_settings_topics_and_commits_outlive_every_kind_of_end(own_broker, admin_of, name):
    admin = admin_of(own_broker)
    admin.create(name, partitions=2, retention_ms=123456789)
    admin.create(f"{name}-gone")
    admin.call("commit_alone", group=f"{name}-g", topic=name, partition=1, offset=41)
    admin.call("delete_topic", topic=f"{name}-gone")
    admin.call("create_partitions", topic=name, total=3)
    for kill in (True, False, True):
        own_broker.restart(kill=kill)
        topics = admin.call("list_topics")
        assert topics[name] == 3 and f"{name}-gone" not in topics
        assert admin.call("describe_config", topic=name)["retention.ms"][0] == "123456789"
        assert admin.committed(f"{name}-g", name, 1) == 41
