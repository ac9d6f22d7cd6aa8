"""A thousand topics by one kubectl apply."""
import time

from harness import machine, operators
from harness.kube import cluster, topic
from harness.wait import until

COUNT = 1000


def test_a_thousand_topics(space, operator, figure):
    space.apply(cluster("many", 1))
    space.wait_ready("kafkacluster", "many", 90)
    names = [f"topic-{number:04d}" for number in range(COUNT)]
    space.apply(*[topic(name, "many") for name in names])
    applied = time.monotonic()

    def all_ready():
        columns = "--no-headers", "-o", "custom-columns=READY:.status.conditions[0].status"
        return space.run("get", "kafkatopics", *columns).split().count("True") == COUNT

    until("all are ready", all_ready, 30)
    took = time.monotonic() - applied
    figure("seconds from the end of kubectl apply of 1,000 topics until all are Ready", round(took, 2))
    assert took < 5
    address = operators.working(operator)["status"]["podIP"]
    text = machine.inside("/bin/busybox", "wget", "-q", "-O", "-", f"http://{address}:8080/metrics")
    memory = next(float(line.split()[1]) for line in text.splitlines() if line.startswith("milena_operator_resident_memory_bytes "))
    figure("MiB of the operator with 1,000 topics", round(memory / 2**20, 1))
    assert memory < 100 * 2**20
