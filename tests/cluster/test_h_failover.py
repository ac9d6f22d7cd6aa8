"""A broker is killed that leads thousands of partitions of as many topics: until all have new leaders, until all take
acks=all writes again, and how many writes that takes.

One broker leads them all: the others were killed together before, and leadership does not go back by itself here."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest
from harness import machine, replicas
from harness.kube import GROUP, cluster, kubectl
from harness.wait import until

LOST = 0
OTHERS = (1, 2)
# Seconds without a write.
QUIET = 7


class Watch:
    """KafkaPartitions as they change: when all partitions had been seen with another leader, and without the lost broker
    among the replicas in sync."""

    def __init__(self, space):
        path = f"/apis/{GROUP}/namespaces/{space.name}/kafkapartitions"
        listed = json.loads(kubectl("get", "--raw", path))
        version = listed["metadata"]["resourceVersion"]
        self.objects = len(listed["items"])
        self.led = {key for item in listed["items"] for key in item["spec"]["partitions"]}
        self.in_sync = set(self.led)
        self.elected = self.removed = None
        command = ["kubectl", "get", "--raw", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=120"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        for line in self.process.stdout:
            at = time.monotonic()
            for key, state in json.loads(line)["object"]["spec"]["partitions"].items():
                if re.search(r"leader=(?!%d )\d" % LOST, state):
                    self.led.discard(key)
                if not re.search(r"isr=(\S*,)?%d\." % LOST, state):
                    self.in_sync.discard(key)
            self.elected = self.elected or (None if self.led else at)
            self.removed = self.removed or (None if self.in_sync else at)

    def close(self):
        self.process.kill()


def writes(resource="kafkapartitions"):
    """Requests that changed objects of a kind, as the API server counts them, by verb and code."""
    found = {}
    for line in kubectl("get", "--raw", "/metrics").splitlines():
        if line.startswith("apiserver_request_total") and f'resource="{resource}"' in line:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if labels["verb"] in ("POST", "PUT", "PATCH", "APPLY"):
                key = f"{labels['verb']} {labels['code']}"
                found[key] = found.get(key, 0) + int(float(line.split()[-1]))
    return found


def make(space, name, count):
    """The topics, by a Kafka client, and all of them led by one broker."""
    bootstrap = f"{name}-bootstrap.{space.name}.svc:9092"
    machine.inside(*machine.python("many_topics.py", bootstrap, "many-", count), timeout=600)
    until("every topic is there and in sync", lambda: whole(space, name, count), 120, every=1)
    processes = {broker: machine.pid_of_pod(f"{name}-{broker}", space.name) for broker in OTHERS}
    for process in processes.values():
        os.kill(process, signal.SIGKILL)
    until("one broker leads them all", lambda: led(space, name) == count, 60, every=0.5)
    for broker, process in processes.items():
        until(f"broker {broker} is back", lambda: machine.find_pid(f"{name}-{broker}", space.name) not in (None, process), 60)
    until("every topic is in sync again", lambda: whole(space, name, count), 120, every=1)
    assert led(space, name) == count


def settle():
    """Waits until what the preparation left is written: that replicas are out of sync, and back, comes to 5,000 topics'
    statuses seconds later."""
    seen = []

    def is_quiet():
        seen.append(writes("kafkatopics"))
        return len(seen) > QUIET and all(one == seen[-1] for one in seen[-QUIET:])

    until("no topic's status is written", is_quiet, 120, every=1)


def whole(space, name, count):
    states = replicas.states(space, name).values()
    return len(states) == count and all(leader is not None and wanted == isr for leader, wanted, isr in states)


def led(space, name):
    return sum(leader == LOST for leader, _, _ in replicas.states(space, name).values())


# So many partitions take long to make and to remove, beside which other tests would wait.
MORE = [(5000, 3, 5)] if os.environ.get("MILENA_TEST_MANY") else []


@pytest.mark.parametrize(("count", "leaders", "acknowledged"), [(1000, 1, 2), *MORE])
def test_a_broker_that_leads_all_is_killed(space, operator, figure, count, leaders, acknowledged):
    name = "many"
    space.apply(cluster(name, 3, "4Gi", config={
        "min.insync.replicas": 2, "default.replication.factor": 3, "auto.leader.rebalance.enable": False,
    }))
    space.wait_ready("kafkacluster", name, 120)
    make(space, name, count)
    settle()
    addresses = [space.get("pod", f"{name}-{broker}")["status"]["podIP"] for broker in OTHERS]
    writer = machine.start_inside(*machine.python("takes_writes.py", count, "many-", *addresses))
    watch = Watch(space)
    try:
        assert writer.stdout.readline().strip() == "ready", writer.stderr.read()
        time.sleep(5)
        process, before = machine.pid_of_pod(f"{name}-{LOST}", space.name), writes()
        begun = time.monotonic()
        os.kill(process, signal.SIGKILL)
        writer.stdin.write("go\n")
        writer.stdin.flush()
        done, last, half = 0, begun, None
        while done < count:
            line = writer.stdout.readline()
            assert line, writer.stderr.read()
            at, some = line.split()
            done, last = done + int(some), max(last, float(at))
            half = half or (last if done * 2 >= count else None)
        until("the lost broker is out of sync everywhere", lambda: watch.removed, 30)
        after = writes()
    finally:
        watch.close()
        writer.kill()
    found = {
        "leaders": round(watch.elected - begun, 3),
        "out of the ISR": round(watch.removed - begun, 3),
        "half take acks=all": round(half - begun, 3),
        "all take acks=all": round(last - begun, 3),
        "objects": watch.objects,
        "writes": {verb: after[verb] - before.get(verb, 0) for verb in after if after[verb] != before.get(verb, 0)},
    }
    print(found, flush=True)
    figure(f"a killed broker that led {count} partitions", found)
    assert found["leaders"] < leaders
    assert found["all take acks=all"] < acknowledged
