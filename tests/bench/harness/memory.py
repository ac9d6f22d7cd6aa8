"""Memory of a broker: fresh, for each thing that only waits, and after load."""

import time

from . import client, machine
from .crowd import crowd
from .servers import Milena

KIB, MIB = 1024, 1024 * 1024
CONNECTIONS = 10_000
# What each of these asks for, and then reads nothing.
UNREAD, ANSWER_BYTES = 500, 50_000_000
# A JVM's heap says nothing on single partitions; that it makes them at all takes it long.
PARTITIONS = {"Milena": 10_000, "Kafka": 0}


def fresh(start, plan):
    """Idle; then 10,000 connections that asked once; then partitions that were never written to."""
    with start() as server:
        time.sleep(plan.settle_seconds)
        found = {"idle": server.resident() / MIB}
        if isinstance(server, Milena):
            found["connection"] = growth(server, plan, CONNECTIONS) / CONNECTIONS / KIB
    count = PARTITIONS[server.name]
    if count:
        with start() as server:
            time.sleep(plan.settle_seconds)
            before = server.resident()
            for _ in range(count // 1000):
                server.create(1000)
            time.sleep(plan.settle_seconds)
            found["partition"] = (server.resident() - before) / count / KIB
    return found


def unread(start, plan):
    """500 connections, each with an answer of 50 MB on its way that its client does not read: what the broker holds for
    them, and what the kernel does."""
    with start() as server:
        topic = server.create()
        client.produce(server.bootstrap, topic, 1000, ANSWER_BYTES)
        time.sleep(plan.settle_seconds)
        resident, kernel = server.resident(), machine.tcp_memory()
        with crowd(server.bootstrap, UNREAD, topic):
            time.sleep(plan.settle_seconds)
            resident, kernel = server.resident() - resident, machine.tcp_memory() - kernel
    return {
        "all": resident / MIB,
        "each": resident / UNREAD / KIB,
        "kernel": kernel / MIB,
        "kernel_each": kernel / UNREAD / KIB,
    }


def growth(server, plan, count):
    """Bytes that so many connections take."""
    before = server.resident()
    with crowd(server.bootstrap, count):
        time.sleep(plan.settle_seconds)
        return server.resident() - before


def after_load(server, plan):
    time.sleep(plan.settle_seconds)
    return {"resident": server.resident() / MIB}
