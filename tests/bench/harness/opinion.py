"""A second opinion: the performance tools that come with Apache Kafka."""

import os
import re
import subprocess

from . import client, machine
from .servers import KAFKA_TOOLS

GB = 1e9


def tool(*arguments):
    done = subprocess.run(
        [KAFKA_TOOLS, *map(str, arguments)],
        env={**os.environ, "KAFKA_OPTS": "-Xmx512m"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"{arguments[0]}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def producer(server, plan):
    total = plan.bytes_of(1000)
    topic = server.create()
    machine.touch_memory(server.home, total * 3 // 2)
    before = server.cpu()
    printed = tool(
        *("producer-perf", "--topic", topic, "--num-records", total // 1000, "--record-size", 1000),
        *("--throughput", -1, "--producer-props", f"bootstrap.servers={server.bootstrap}", "acks=1"),
    )
    spent = server.cpu() - before
    server.delete(topic)
    rate = float(re.findall(r"\(([\d.]+) MB/sec\)", printed)[-1]) * 1024 * 1024 / 1e6
    return {"cpu": spent / total * GB, "rate": rate}


def consumer(server, plan):
    total = plan.bytes_of(1000)
    topic = server.create()
    client.produce(server.bootstrap, topic, 1000, total)
    before = server.cpu()
    printed = tool(
        *("consumer-perf", "--bootstrap-server", server.bootstrap, "--topic", topic),
        *("--num-records", total // 1000, "--timeout", 60000),
    )
    spent = server.cpu() - before
    server.delete(topic)
    head, values = [line.split(", ") for line in printed.strip().splitlines()[-2:]]
    rate = float(values[head.index("fetch.MB.sec")]) * 1024 * 1024 / 1e6
    return {"cpu": spent / total * GB, "rate": rate}


def end_to_end(server, plan):
    topic = server.create()
    printed = tool("e2e-latency", server.bootstrap, topic, plan.single_records, "all", 1000)
    server.delete(topic)
    found = dict(re.findall(r"(50|99|99\.9)th = ([\d.]+)", printed))
    if not found:
        found = dict(re.findall(r"(50th|99th|99\.9th)\D+([\d.]+)", printed))
    return {key: float(found[name]) for key, name in (("p50", "50"), ("p99", "99"), ("p999", "99.9"))}
