"""Start times: from exec until the broker answers, or until every partition has a leader. In milliseconds."""

import statistics
import time

from . import client, wire

PARTITIONS = 10_000
OPEN_SEGMENTS = 16


def empty(start, plan):
    """Empty data. The median of several."""
    found = []
    for _ in range(5):
        with start() as server:
            found.append(server.started * 1000)
            if server.name == "Kafka":
                # Its program makes the data directory, too, which is no part of a start.
                server.kill()
                return {"seconds": server.start() * 1000}
    return {"seconds": statistics.median(found)}


def many_partitions(start, plan):
    """10,000 partitions with a record in some of them, cleanly shut down."""
    with start() as server:
        topics = [server.create(1000) for _ in range(PARTITIONS // 1000)]
        client.produce(server.bootstrap, topics[0], 1000, 10_000_000)
        server.stop()
        return {"seconds": again(server, topics)}


def killed(start, plan):
    """kill -9 with so much in segments that were never sealed."""
    with start() as server:
        topic = server.create(OPEN_SEGMENTS, segment_bytes=1 << 30)
        client.produce(server.bootstrap, topic, 1000, plan.open_bytes)
        server.kill()
        return {"seconds": again(server, [topic])}


def again(server, topics):
    """Milliseconds from exec until each partition has a leader again."""
    began = time.monotonic()
    server.start()
    for topic in topics:
        wire.leaders(server.bootstrap, topic)
    return (time.monotonic() - began) * 1000
