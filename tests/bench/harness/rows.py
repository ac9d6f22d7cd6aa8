"""What is measured: one row a workload, its quantities, and what each of them is to reach."""

from collections.abc import Callable
from dataclasses import dataclass, field

from . import latency, memory, opinion, starts, throughput

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Bound:
    """What a quantity is to reach: as a part of Kafka's, or outright. `floor` is the machine's own cost."""

    least: float
    aim: float
    outright: bool = False
    aim_outright: bool = False
    floor: float | None = None
    more: bool = False


@dataclass(frozen=True)
class Quantity:
    """One figure of a row, under the key by which the measurement returns it."""

    key: str
    title: str
    unit: str
    bound: Bound | None = None


@dataclass(frozen=True)
class Row:
    """A workload. `measure(server, plan)` returns {key: value}; what needs servers of its own gets their class."""

    group: str
    title: str
    measure: Callable
    quantities: list[Quantity]
    # One of: "running" servers; "own" servers, which it starts and stops itself; "three" brokers.
    needs: str = "running"
    rounds: int | None = None
    options: dict = field(default_factory=dict)
    # Kafka is left out where it would take too long, or says nothing.
    kafka: bool = True


def cpu(bound):
    return Quantity("cpu", "broker CPU", "s/GB", bound)


RATE = Quantity("rate", "throughput", "MB/s")
PRODUCE = Bound(1 / 2, 1 / 3, floor=0.5)
CONSUME = Bound(2 / 3, 1 / 3, floor=0.15)
LATENCY = Bound(1 / 2, 1 / 5)


def times(p50=None, p99=None, p999=None):
    return [
        Quantity("p50", "p50", "ms", p50),
        Quantity("p99", "p99", "ms", p99),
        Quantity("p999", "p99.9", "ms", p999),
        Quantity("max", "max", "ms"),
    ]


# Latency counts from when a record was due; until the load's next step it is not in the client's hands.
PACING = [Quantity("paced", "of which before the client library has the record: p50", "ms")]


def produce(size, acks, codec="none", partitions=1):
    title = f"{'1 KB' if size == 1000 else f'{size} B'} records, acks={'all' if acks == -1 else acks}"
    title += f", {codec}" if codec != "none" else ""
    title += f", {partitions:,} partitions" if partitions > 1 else ""
    options = {"size": size, "acks": acks, "codec": codec, "partitions": partitions}
    # The bound is for what the floor was measured with: records as they are, to one partition.
    bound = PRODUCE if codec == "none" and partitions == 1 else Bound(1 / 2, 1 / 3)
    return Row("Produce", title, throughput.produce, [cpu(bound), RATE], options=options)


ROWS = [
    produce(1000, 1),
    produce(1000, -1),
    produce(100, 1),
    produce(100, -1),
    produce(1000, 1, "lz4"),
    produce(100, 1, "lz4"),
    produce(1000, 1, partitions=1000),
    produce(100, 1, partitions=1000),
    Row("Consume", "catch-up, 1 KB records", throughput.catch_up, [cpu(CONSUME), RATE], options={"size": 1000}),
    Row("Consume", "catch-up, 100 B records", throughput.catch_up, [cpu(CONSUME), RATE], options={"size": 100}),
    Row(
        "Consume",
        "tail, one consumer",
        throughput.tail,
        [cpu(CONSUME)],
        rounds=2,
        options={"consumers": 1, "rate": 60e6},
    ),
    Row(
        "Consume",
        "tail, ten consumers",
        throughput.tail,
        [cpu(CONSUME)],
        rounds=2,
        options={"consumers": 10, "rate": 25e6},
    ),
    Row(
        "Latency",
        "end to end at a tenth of full load (30 MB/s of 1 KB records)",
        latency.tenth,
        [*times(LATENCY, LATENCY), *PACING],
        rounds=2,
    ),
    Row(
        "Latency",
        "the same, with records handed over every 0.1 ms instead of every 1 ms",
        latency.tenth,
        [*times(), *PACING],
        rounds=2,
        options={"step": 100},
    ),
    Row(
        "Latency",
        "end to end at 100 MB/s of 1 KB records, the disk writing meanwhile",
        latency.steady,
        [*times(p99=Bound(1 / 5, 10, aim_outright=True)), cpu(None)],
        rounds=1,
    ),
    Row(
        "Replication 3",
        "1 KB records, acks=all, all brokers",
        throughput.produce,
        [cpu(Bound(1 / 3, 1 / 5, floor=1.8)), Quantity("rate", "throughput", "MB/s", Bound(2, 3, more=True))],
        needs="three",
        options={"size": 1000, "acks": -1, "codec": "none", "partitions": 1, "part": 0.5},
    ),
    Row(
        "Memory",
        "a fresh broker",
        memory.fresh,
        [
            Quantity("idle", "idle", "MiB", Bound(15, 8, outright=True)),
            Quantity("connection", "each of 10,000 idle connections", "KiB", Bound(16, 4, outright=True)),
            Quantity("partition", "each of 10,000 idle partitions", "KiB", Bound(8, 2, outright=True)),
        ],
        needs="own",
        rounds=1,
    ),
    Row(
        "Memory",
        "500 connections, each with an answer of 50 MB that its client does not read",
        memory.unread,
        [
            Quantity("all", "for all of them, in the broker", "MiB"),
            Quantity("each", "for each, in the broker", "KiB"),
            Quantity("kernel", "for all of them, in the kernel", "MiB"),
            Quantity("kernel_each", "for each, in the kernel", "KiB"),
        ],
        needs="own",
        rounds=1,
        kafka=False,
    ),
    Row("Memory", "after all of the above", memory.after_load, [Quantity("resident", "resident", "MiB")], rounds=1),
    Row(
        "Start",
        "from exec to the first answer, empty data",
        starts.empty,
        [Quantity("seconds", "time", "ms", Bound(40, 15, outright=True))],
        needs="own",
        rounds=1,
    ),
    Row(
        "Start",
        "10,000 partitions, cleanly shut down",
        starts.many_partitions,
        [Quantity("seconds", "time until all have leaders", "ms", Bound(1000, 300, outright=True))],
        needs="own",
        rounds=1,
        kafka=False,
    ),
    Row(
        "Start",
        "killed with 10 GB in open segments",
        starts.killed,
        [Quantity("seconds", "time until all have leaders", "ms", Bound(1000, 300, outright=True))],
        needs="own",
        rounds=1,
    ),
    Row("Kafka's own tools", "producer-perf, 1 KB records", opinion.producer, [cpu(None), RATE], rounds=1),
    Row("Kafka's own tools", "consumer-perf, 1 KB records", opinion.consumer, [cpu(None), RATE], rounds=1),
    Row(
        "Kafka's own tools",
        "e2e-latency, 1 KB records one by one",
        opinion.end_to_end,
        [Quantity("p50", "p50", "ms"), Quantity("p99", "p99", "ms"), Quantity("p999", "p99.9", "ms")],
        rounds=1,
    ),
]
