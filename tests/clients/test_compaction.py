"""Compacted topics: what stays, what goes, what it may cost, and a log that cannot be read."""

import os
import re
import time
import urllib.request

import pytest

from harness import segment, wait
from harness.records import Record, contents

QUICK = {"log.cleaner.backoff.ms": 100}


@pytest.fixture
def server(request):
    """A broker whose cleaner looks often. Somebody else's server has to be started so."""
    if os.environ.get("MILENA_TEST_BOOTSTRAP"):
        return request.getfixturevalue("broker")
    return request.getfixturevalue("start_broker")(config=QUICK)


def keyed(pairs):
    return [Record(value, key=key.encode()) for key, value in pairs]


def test_the_newest_of_each_key_stays_and_deleted_keys_go(server, admin_of, name):
    admin = admin_of(server)
    admin.create(name, cleanup_policy="compact", segment_ms=300, min_cleanable_dirty_ratio=0.01, delete_retention_ms=0)
    keys = [f"k{number}" for number in range(20)]
    for round_ in range(10):
        admin.produce(name, keyed((key, f"{key} {round_}".encode()) for key in keys))
    admin.produce(name, keyed((key, None) for key in keys[::2]))
    newest = {key.encode(): None if index % 2 == 0 else f"{key} 9".encode() for index, key in enumerate(keys)}
    written = 11 * len(keys) - len(keys) // 2

    def compacted():
        # A record that comes later ends the segment before it.
        time.sleep(0.4)
        admin.produce(name, keyed([("last", b"x")]))
        seen = admin.consume(name, count=1000, timeout=1)
        offsets = [record.offset for record in seen]
        assert offsets == sorted(set(offsets)) and len(seen) > 0
        found = {record.key: record.value for record in seen if record.key != b"last"}
        for key, value in newest.items():
            assert found.get(key) == value, f"the newest of {key} is not what is read"
        return len([record for record in seen if record.key != b"last"]) == len(keys) // 2

    wait.until(compacted, 60, "superseded records and tombstones gone")
    # Offsets never change, whatever went before.
    survivors = [record for record in admin.consume(name, count=1000, timeout=1) if record.key != b"last"]
    assert contents(survivors, "offset") == [(9 * len(keys) + index,) for index in range(1, len(keys), 2)]
    assert admin.client.offsets(admin.bootstrap, name, 0, "latest") > written


def metric(address, wanted):
    text = urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read().decode()
    return float(re.search(rf"^milena_{wanted} (\S+)$", text, re.MULTILINE).group(1))


@pytest.fixture
def watched(start_broker):
    """A function that starts a broker with figures; it answers the broker and their address."""

    def start(**config):
        address = f"127.0.0.1:{wait.free_ports()}"
        return start_broker(config={**QUICK, **config}, arguments=["--http-listen", address]), address

    return start


def fill(admin, topic, megabytes=4):
    """Two segments and more of which hardly anything stays."""
    for part in range(megabytes * 10):
        admin.produce(topic, [Record(b"%d " % part + os.urandom(100_000), key=b"%d" % (part % 3))])


@pytest.mark.own_broker
def test_bandwidth_has_a_limit(watched, admin_of, name):
    rate = 2_000_000
    broker, address = watched(**{"log.cleaner.io.max.bytes.per.second": rate, "log.cleaner.backoff.ms": 2000})
    admin = admin_of(broker)
    admin.create(name, segment_bytes=1 << 20)
    fill(admin, name)
    before = time.monotonic()
    admin.call("alter_config", topic=name, changes={"cleanup.policy": "compact"})
    wait.until(lambda: metric(address, "cleaner_runs_total") >= 1, 60, "a cleaning")
    took = time.monotonic() - before
    moved = metric(address, "cleaner_read_bytes_total") + metric(address, "cleaner_written_bytes_total")
    assert moved > 6_000_000 and took > 0.9 * moved / rate, f"{moved} bytes in {took:.1f} s"


@pytest.mark.own_broker
def test_little_memory_makes_it_take_several_passes(watched, admin_of, name):
    # Of 24 bytes a key, 90 %: room for 179 keys at a time.
    broker, address = watched(**{"log.cleaner.dedupe.buffer.size": 4800, "log.cleaner.threads": 1})
    admin = admin_of(broker)
    admin.create(name, cleanup_policy="compact", segment_bytes=1 << 20, min_cleanable_dirty_ratio=0)
    for round_ in range(2):
        for part in range(10):
            admin.produce(
                name, [Record(b"%d " % round_ + bytes(2000), key=b"%d" % (part * 100 + key)) for key in range(100)]
            )
    admin.produce(name, [Record(os.urandom(900_000), key=b"last")])
    wait.until(lambda: metric(address, "cleaner_runs_total") >= 5, 30, "several cleanings")

    def settled():
        seen = admin.consume(name, count=2001, timeout=2)
        newest = {record.key: record.value[:2] for record in seen}
        assert len(newest) == 1001 and all(value == b"1 " for key, value in newest.items() if key != b"last")
        return len(seen) < 1300

    wait.until(settled, 30, "the older values gone")


@pytest.mark.own_broker
def test_a_log_that_cannot_be_read_is_left_alone(watched, admin_of, name):
    broker, address = watched(**{"log.cleaner.threads": 2})
    admin = admin_of(broker)
    damaged, healthy = f"{name}-damaged", f"{name}-healthy"
    for topic in (damaged, healthy):
        admin.create(topic, segment_bytes=1 << 20)
        fill(admin, topic)
    file = broker.segments(damaged)[0]
    second = segment.batches(file)[1]
    segment.overwrite(file, second.position + 5000, b"no such record")
    for topic in (damaged, healthy):
        admin.call("alter_config", topic=topic, changes={"cleanup.policy": "compact"})
    wait.until(lambda: metric(address, "uncleanable_partitions") == 1, 30, "the damage told")
    wait.until(lambda: metric(address, "cleaner_runs_total") >= 1, 30, "the other log compacted")
    assert f"{damaged}-0" in broker.output() and "DAMAGE" in broker.output()
    sizes = [sum(file.stat().st_size for file in broker.segments(topic)) for topic in (healthy, damaged)]
    assert sizes[0] < sizes[1] / 2, sizes
    admin.produce(damaged, keyed([("k", b"still taken")]))


@pytest.mark.own_broker
def test_lags_hold_compaction_back_and_urge_it_on(start_broker, admin_of, name):
    broker = start_broker(config=QUICK)
    admin = admin_of(broker)
    held, urged = f"{name}-held", f"{name}-urged"
    common = {"cleanup_policy": "compact", "min_cleanable_dirty_ratio": 0}
    admin.create(held, segment_ms=100, min_compaction_lag_ms=3_600_000, **common)
    admin.create(urged, max_compaction_lag_ms=500, **common)
    for topic in (held, urged):
        for value in (b"1", b"2", b"3"):
            admin.produce(topic, keyed([("k", value)]))
            time.sleep(0.2)
    # Nobody writes to it any more, and it is compacted all the same.
    wait.until(lambda: contents(admin.consume(urged, count=3, timeout=1), "value") == [(b"3",)], 30, "compaction")
    assert contents(admin.consume(held, count=3), "value") == [(b"1",), (b"2",), (b"3",)]
