"""Broker processor time per GB, and MB/s. A GB is 10^9 bytes of records as clients see them, before compression."""

import time

from . import client, machine

GB = 1e9


def produce(server, plan, size, acks, codec, partitions, part=1):
    """As fast as it goes, by rdkafka_performance."""
    total = int(plan.bytes_of(size) * part)
    topic = server.create(partitions)
    machine.touch_memory(server.home, total * server.replicas * 3 // 2)
    before = server.cpu()
    rate = client.produce(server.bootstrap, topic, size, total, acks, codec)
    spent = server.cpu() - before
    server.delete(topic)
    return {"cpu": spent / total * GB, "rate": rate}


def catch_up(server, plan, size):
    """One consumer reads a topic from its beginning, which the page cache has."""
    total = plan.bytes_of(size)
    topic = server.create()
    client.produce(server.bootstrap, topic, size, total)
    before = server.cpu()
    rate = client.consume(server.bootstrap, topic, size, total)
    spent = server.cpu() - before
    server.delete(topic)
    return {"cpu": spent / total * GB, "rate": rate}


def tail(server, plan, consumers, rate):
    """What consumers at the log's end add to the cost of producing at the same rate without them."""
    topic = server.create()
    spent = {}
    for count in (0, consumers):
        before = server.cpu()
        client.at_rate(server.bootstrap, topic, rate, plan.tail_seconds, size=1000, consumers=count, linger=5, warm=1)
        spent[count] = server.cpu() - before
        time.sleep(0.2)
    server.delete(topic)
    return {"cpu": (spent[consumers] - spent[0]) / (rate * plan.tail_seconds * consumers) * GB}
