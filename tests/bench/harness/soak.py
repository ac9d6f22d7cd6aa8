"""A soak: full load for a while, with retention and compaction at work all the time. What must hold:

memory is flat, the disk holds no more than retention and compaction leave, every acknowledged record arrives, and a
probe's records arrive within a bound.
"""

import argparse
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from confluent_kafka import Producer

from . import client, wire
from .servers import Milena

MIB = 1 << 20
SEGMENT, RETENTION = 64 * MIB, 512 * MIB
KEYS, VALUE = 20_000, 500
# What the compacted topic may hold: each key once, twice while a clean copy is made, and what is not clean yet.
COMPACTED = 4 * KEYS * (VALUE + 100) + 64 * MIB
# Checked often, so that retention and compaction are always at work.
CONFIG = {
    "log.retention.check.interval.ms": 1000,
    "log.cleaner.backoff.ms": 1000,
    "log.flush.offset.checkpoint.interval.ms": 5000,
}
# What memory may grow by between the first third and the last, and what a topic may hold beyond what it should.
GROWTH, SLACK = 8 * MIB, 512 * MIB
# Bounds on the probe's end-to-end latency beside a producer that takes all that the machine gives.
P999_MS, MAX_MS = 250, 1000


class Load:
    """What runs until it is told to stop."""

    def __init__(self, server):
        self.server, self.stop = server, threading.Event()
        self.flood_bytes = self.keyed = self.rejected = 0
        self.memory, self.disk = [], []
        self.error = None

    def threads(self, flood, compacted):
        jobs = [(self.flood, flood), (self.keys, compacted), (self.watch, None)]
        return [threading.Thread(target=self.guarded, args=job, daemon=True) for job in jobs]

    def guarded(self, job, topic):
        try:
            job(topic)
        except Exception as error:
            self.error = error
            self.stop.set()

    def flood(self, topic):
        """As fast as it goes, into a topic whose old segments go all the time."""
        while not self.stop.is_set():
            client.produce(self.server.bootstrap, topic, 1000, 500_000_000)
            self.flood_bytes += 500_000_000

    def keys(self, topic):
        """New values for the same keys."""
        producer = Producer({"bootstrap.servers": self.server.bootstrap, "linger.ms": 20})
        draw = random.Random(1)
        while not self.stop.is_set():
            for _ in range(500):
                producer.produce(topic, draw.randbytes(VALUE), f"key-{draw.randrange(KEYS)}", on_delivery=self.noted)
            producer.poll(0)
            self.stop.wait(0.1)
        producer.flush(30)

    def noted(self, error, _):
        if error:
            self.rejected += 1
        else:
            self.keyed += 1

    def watch(self, _):
        while not self.stop.wait(0.5):
            self.memory.append(self.server.resident())
            self.disk.append(sum(file_size(path) for path in (self.server.home / "data").rglob("*.log")))


def file_size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def soak(server, seconds):
    """Runs the load; the list of what did not hold."""
    flood = server.create(segment_bytes=SEGMENT, retention_bytes=RETENTION)
    compacted = server.create(
        cleanup_policy="compact", segment_bytes=4 * MIB, min_cleanable_dirty_ratio=0.1, min_compaction_lag_ms=0
    )
    probe = server.create(segment_bytes=SEGMENT, retention_bytes=SEGMENT)
    load = Load(server)
    threads = load.threads(flood, compacted)
    for thread in threads:
        thread.start()
    try:
        found = client.at_rate(server.bootstrap, probe, 1e6, seconds, size=1000, consumers=1, acks="all", warm=3)
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(120)
    return judge(server, load, found["end_to_end"])


def judge(server, load, probe):
    third = max(1, len(load.memory) // 3)
    early, late = max(load.memory[:third]), max(load.memory[-third:])
    compactions = (server.home / "broker.log").read_text(errors="replace").count("compacted partition=")
    rows = [
        ("load", load.error is None, f"{load.flood_bytes / 1e9:.1f} GB and {load.keyed:,} keyed records; {load.error}"),
        ("keyed records refused", load.rejected == 0, f"{load.rejected}"),
        ("memory", late <= early + GROWTH, f"at most {early / MIB:.1f} MiB in the first third, {late / MIB:.1f} later"),
        ("disk", max(load.disk) <= RETENTION + COMPACTED + SLACK, f"at most {max(load.disk) / MIB:.0f} MiB"),
        ("probe p99.9", probe["p999"] <= P999_MS, f"{probe['p999']:.1f} ms (bound {P999_MS})"),
        ("probe max", probe["max"] <= MAX_MS, f"{probe['max']:.1f} ms (bound {MAX_MS}); p50 {probe['p50']:.2f}"),
        ("compaction", compactions > 0, f"{compactions} times"),
        ("serves", wire.serves(server.bootstrap), ""),
    ]
    for name, holds, text in rows:
        print(f"{'ok    ' if holds else 'FAILED'} {name}: {text}", flush=True)
    return [name for name, holds, _ in rows if not holds]


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/soak", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="how long (300)")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), metavar="DIR", help="where data lies (/var/tmp)")
    parser.add_argument("--port", type=int, help="the broker's port")
    options = parser.parse_args()
    client.build()
    server = Milena(options.port or wire.free_port(), home=options.dir, config=CONFIG)
    try:
        server.start()
        began = time.monotonic()
        failed = soak(server, options.seconds)
        print(f"{time.monotonic() - began:.0f} s", flush=True)
        if failed:
            print((server.home / "broker.log").read_text(errors="replace")[-3000:])
        return 1 if failed else 0
    except subprocess.TimeoutExpired as error:
        print(f"FAILED: {error}")
        return 1
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
