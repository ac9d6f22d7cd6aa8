"""Resident memory of a broker: fresh, for each thing that only waits, and after load."""

import time

from . import wire
from .servers import Milena

KIB, MIB = 1024, 1024 * 1024
CONNECTIONS = 1000
# A JVM's heap says nothing on single partitions; that it makes them at all takes it long.
PARTITIONS = {"Milena": 10_000, "Kafka": 0}


def fresh(start, plan):
    """Idle; then 1,000 connections that asked once; then partitions that were never written to."""
    with start() as server:
        time.sleep(plan.settle_seconds)
        found = {"idle": server.resident() / MIB}
        before = server.resident()
        sockets = [wire.connect(server.bootstrap) for _ in range(CONNECTIONS)]
        for sock in sockets:
            wire.ask(sock, wire.API_VERSIONS, 0)
        time.sleep(plan.settle_seconds)
        if isinstance(server, Milena):
            found["connection"] = (server.resident() - before) / CONNECTIONS / KIB
        for sock in sockets:
            sock.close()
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


def after_load(server, plan):
    time.sleep(plan.settle_seconds)
    return {"resident": server.resident() / MIB}
