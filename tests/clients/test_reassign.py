"""Apache Kafka's kafka-reassign-partitions.sh against three brokers in one process."""

import json

import pytest

from harness import tools, wait
from harness.records import Record

REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"


@pytest.fixture
def three(start_broker):
    return start_broker(arguments=["--brokers", "3"])


@pytest.fixture
def reassign(three, tmp_path):
    def run(verb, plan, *more):
        path = tmp_path / "plan.json"
        path.write_text(json.dumps(plan))
        option = "--topics-to-move-json-file" if verb == "--generate" else "--reassignment-json-file"
        files = [] if verb == "--list" else [option, path]
        return tools.must("java", REASSIGN, "--bootstrap-server", three.bootstrap, verb, *files, *more)

    return run


def replicas(three, topic):
    """By partition: the replicas, as the tool for topics shows them."""
    shown = tools.must("topics", "--bootstrap-server", three.bootstrap, "--describe", "--topic", topic)
    rows = [line.split("\t") for line in shown.splitlines() if "Partition: " in line]
    fields = [{name.strip(): value.strip() for name, _, value in (part.partition(":") for part in row)} for row in rows]
    return {int(row["Partition"]): [int(one) for one in row["Replicas"].split(",")] for row in fields}


def create(three, topic, partitions, factor):
    tools.must("topics", "--bootstrap-server", three.bootstrap, "--create", "--topic", topic,
               "--partitions", partitions, "--replication-factor", factor)


def plan(topic, assignment):
    partitions = [
        {"topic": topic, "partition": partition, "replicas": brokers} for partition, brokers in assignment.items()
    ]
    return {"version": 1, "partitions": partitions}


def test_generate_execute_verify(three, reassign, name):
    create(three, name, 3, 2)
    said = reassign("--generate", {"version": 1, "topics": [{"topic": name}]}, "--broker-list", "0,1,2")
    proposed = json.loads(said.split("Proposed partition reassignment configuration")[1].strip())
    assert len(proposed["partitions"]) == 3
    target = {partition: [(one + 1) % 3 for one in brokers] for partition, brokers in replicas(three, name).items()}
    said = reassign("--execute", plan(name, target), "--throttle", 10_000_000)
    assert "Successfully started partition reassignments" in said and "throttle" in said.lower()
    wait.until(lambda: "is complete" in reassign("--verify", plan(name, target)), 60, "the end of the moves", every=1)
    said = reassign("--verify", plan(name, target))
    assert said.count("is completed.") == 3 and "Clearing" in said
    assert replicas(three, name) == target
    assert "No partition reassignments found" in reassign("--list", None)


def test_throttled_and_cancelled(three, reassign, admin_of, name):
    create(three, name, 1, 1)
    admin_of(three).produce(name, [Record(b"x" * 10_000)] * 400)
    (here,) = replicas(three, name)[0]
    there = (here + 1) % 3
    target = {0: [there]}
    # Four megabytes at a hundred kilobytes a second: it is still under way when it is looked at.
    reassign("--execute", plan(name, target), "--throttle", 100_000)
    listed = reassign("--list", None)
    assert f"{name}-0: replicas: {there},{here}. adding: {there}. removing: {here}." in listed
    assert "still in progress" in reassign("--verify", plan(name, target))
    said = reassign("--cancel", plan(name, target))
    assert "Successfully cancelled" in said
    assert replicas(three, name) == {0: [here]}
    assert "No partition reassignments found" in reassign("--list", None)
    # Faster now, and it is done.
    reassign("--execute", plan(name, target), "--throttle", 100_000_000)
    wait.until(lambda: replicas(three, name) == target, 60, "the end of the move", every=1)


def test_more_and_fewer_replicas(three, reassign, name):
    create(three, name, 2, 1)
    more = {partition: [brokers[0], (brokers[0] + 1) % 3] for partition, brokers in replicas(three, name).items()}
    reassign("--execute", plan(name, more))
    wait.until(lambda: replicas(three, name) == more, 60, "two replicas of each", every=1)
    wait.until(lambda: "is completed." in reassign("--verify", plan(name, more)), 60, "both in sync", every=1)
    fewer = {partition: brokers[1:] for partition, brokers in more.items()}
    reassign("--execute", plan(name, fewer))
    wait.until(lambda: replicas(three, name) == fewer, 60, "one replica of each", every=1)


def test_a_broker_that_is_not_there(three, tmp_path, name):
    create(three, name, 1, 1)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan(name, {0: [7]})))
    done = tools.run("java", REASSIGN, "--bootstrap-server", three.bootstrap, "--execute",
                     "--reassignment-json-file", path)
    assert done.returncode != 0 and "7" in done.stdout + done.stderr
