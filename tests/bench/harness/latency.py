"""End-to-end latency at a fixed rate, by flow: from when a record was due to be sent to its consumer having it."""

from . import client

STEADY_PARTITIONS = 4


def tenth(server, plan, step=1000):
    """`step`: the load hands records over so often, in microseconds."""
    topic = server.create()
    found = client.at_rate(
        server.bootstrap, topic, 30e6, plan.latency_seconds, size=1000, consumers=1, linger=0, warm=2, interval=step
    )
    server.delete(topic)
    return {**found["end_to_end"], "paced": found["paced"]["p50"]}


def steady(server, plan):
    """Minutes at 100 MB/s. Retention keeps the disk from filling, and every page lives long enough to be written."""
    topic = server.create(STEADY_PARTITIONS, retention_bytes=2 << 30, segment_bytes=256 << 20)
    before = server.cpu()
    found = client.at_rate(
        server.bootstrap,
        topic,
        100e6,
        plan.steady_seconds,
        size=1000,
        consumers=1,
        linger=1,
        acks="all",
        warm=5,
        partitions=STEADY_PARTITIONS,
    )
    spent = server.cpu() - before
    server.delete(topic)
    return {**found["end_to_end"], "cpu": spent / (100e6 * plan.steady_seconds) * 1e9, "series": found["series"]}
