"""A converged cluster causes no writes but the renewals of Leases, and these cause no work."""
import re
import time

from harness import machine, operators
from harness.client import ask
from harness.kube import kubectl, topic
from harness.wait import until

KINDS = "kc,kt,kp,statefulsets,services,configmaps,poddisruptionbudgets,serviceaccounts,roles,rolebindings,pods"
WRITES = re.compile(r'^apiserver_request_total\{(.*)\} (\S+)$', re.M)


def versions(demo):
    return {
        (one["kind"], one["metadata"]["name"]): one["metadata"]["resourceVersion"] for one in demo.list(KINDS)
    }


def metrics(address):
    """The counters of an operator, by their text."""
    text = machine.inside("/bin/busybox", "wget", "-q", "-O", "-", f"http://{address}:8080/metrics")
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


def api_writes():
    """Writes that the API server took for our kinds, by resource."""
    counts = {}
    for labels, value in WRITES.findall(kubectl("get", "--raw=/metrics")):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if label["group"] == "milena.dev" and label["verb"] in ("POST", "PUT", "PATCH", "APPLY", "DELETE"):
            key = (label["resource"], label["verb"])
            counts[key] = counts.get(key, 0) + float(value)
    return counts


def test_no_writes_and_no_reconciles(demo, operator):
    demo.apply(*[topic(f"quiet-{number}", partitions=3) for number in range(20)])
    for number in range(20):
        demo.wait_ready("kafkatopic", f"quiet-{number}")
    ask("produce", "quiet-1", "x")
    demo.wait_ready("kafkacluster", "demo")
    time.sleep(5)
    address = operators.working(operator)["status"]["podIP"]
    objects, served, counted = versions(demo), api_writes(), metrics(address)
    leases = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in demo.list("leases")}
    time.sleep(20)
    assert versions(demo) == objects, "no object has changed"
    assert api_writes() == served, "nobody has written"
    after = metrics(address)
    for name, value in after.items():
        if "api_writes" in name and 'resource="leases"' not in name:
            assert value == counted.get(name, 0), name
        if "reconciles" in name:
            assert value == counted.get(name, 0), f"{name}: renewals of Leases are no reason to work"
    now = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in demo.list("leases")}
    assert all(now[f"demo-{broker}"] != leases[f"demo-{broker}"] for broker in range(3)), "Leases were renewed meanwhile"
    demo.run("delete", "kafkatopics", *[f"quiet-{number}" for number in range(20)])


def test_endpoints(operator, demo):
    pods = operator.list("pods", "-l", "app.kubernetes.io/name=milena-operator")
    operator_address = pods[0]["status"]["podIP"]
    broker_address = demo.get("pod", "demo-0")["status"]["podIP"]
    for address, port in ((operator_address, 8080), (broker_address, 9404)):
        for path in ("livez", "readyz", "metrics"):
            machine.inside("/bin/busybox", "wget", "-q", "-O", "-", f"http://{address}:{port}/{path}")


def test_logs_are_json_lines(operator, demo):
    import json

    def lines():
        # Kubelets that share a machine clean up each other's logs within a minute: a new pod's are there.
        operator.run("rollout", "restart", "deployment/milena")
        operator.run("rollout", "status", "deployment/milena", "--timeout=60s", timeout=90)
        text = operator.run("logs", "deployment/milena", "--tail=20")
        return [] if text.startswith("failed to try resolving symlinks") else text.splitlines()

    for line in until("the operator has logged something", lines, 60):
        assert json.loads(line)["level"] in ("ERROR", "WARN", "INFO", "DEBUG")
