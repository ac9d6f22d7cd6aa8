"""What the README shows is so: its commands run, their output is as printed, its links lead somewhere."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from harness import wait
from harness.broker import BINARY, Broker

import page
from page import REPOSITORY
from walk import Walk

# Blocks that are in no walk, and what holds them instead.
ELSEWHERE = {
    "cargo run --release": "test_one_command_runs_the_broker",
    "cargo test --workspace": "test_one_command_runs_the_tests",
    "kubectl run python-1": "the walk's Python programs, run where pods are; this takes an image from the internet",
}


def tool(variable):
    """The program that the variable names; without it the test is left out, or fails in CI."""
    named = os.environ.get(variable, "")
    if os.access(named, os.X_OK):
        return named
    if os.environ.get("CI"):
        pytest.fail(f"{variable} names no program")
    pytest.skip(f"{variable} names no program")


def steps(walk):
    return [block for block in page.blocks() if block.walk == walk]


def link(folder, *paths):
    for path in paths:
        (folder / path).symlink_to(REPOSITORY / path)


def test_every_command_is_run():
    for block in page.blocks():
        assert block.walk in ("", "laptop", "kubernetes"), f"{block.where}: no walk {block.walk}"
        for line in block.text.splitlines() if block.walk == "" else ():
            assert any(line.startswith(known) for known in ELSEWHERE), f"{block.where}: nothing runs '{line}'"


def test_links_lead_somewhere():
    assert page.dead_links() == []


def test_one_command_runs_the_broker():
    """`cargo run` with nothing behind it is the broker: the one program of the workspace's only default member."""
    command = ["cargo", "metadata", "--format-version=1", "--no-deps", "--offline"]
    known = json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout)
    default = [one for one in known["packages"] if one["id"] in known["workspace_default_members"]]
    targets = [target["name"] for one in default for target in one["targets"] if "bin" in target["kind"]]
    assert targets == ["milena-broker"]


def test_one_command_runs_the_tests():
    assert "cargo test --workspace" in (REPOSITORY / ".ci/run").read_text()


def test_examples_are_taken():
    files = sorted(str(path) for path in (REPOSITORY / "examples").glob("*.yaml"))
    arguments = [part for file in files for part in ("--apply", file)]
    ports = wait.free_ports(3)
    broker = Broker(port=ports, arguments=arguments)
    try:
        broker.start()
        said = wait.until(lambda: "Stop with Ctrl-C" in broker.output() and broker.output(), 20, "the greeting")
    finally:
        broker.close()
    documents = sum(Path(file).read_text().count("\n---\n") + 1 for file in files)
    assert said.count(" created\n") == documents, said


def test_laptop(tmp_path):
    tool("MILENA_KAFKA_TOOLS")
    assert os.access(BINARY, os.X_OK), f"no broker at {BINARY}: cargo build --release"
    assert wait.is_free(9092), "the walk needs port 9092"
    link(tmp_path, "examples")
    Walk(tmp_path).go(steps("laptop"))


@pytest.fixture
def cluster():
    """The test cluster's tool, with the cluster up and nothing of ours in it afterwards."""
    program = tool("MILENA_CLUSTER_TOOL")
    tool("MILENA_KAFKA_TOOLS")
    for line in subprocess.run([program, "env"], check=True, capture_output=True, text=True).stdout.split():
        if "=" in line:
            name, value = line.split("=", 1)
            os.environ[name] = value.replace("$PATH", os.environ["PATH"])
    ready = ["kubectl", "get", "--raw=/readyz"]
    up = subprocess.run(ready, capture_output=True, check=False).returncode == 0
    if not up:
        subprocess.run([program, "down"], check=True)
        subprocess.run([program, "up"], check=True)
    yield program
    if not up:
        subprocess.run([program, "down"], check=True)
        return
    for command in (
        "kubectl delete kafkatopics,kafkaclusters --all --wait --ignore-not-found",
        "kubectl delete pvc -l milena.dev/cluster=demo --ignore-not-found",
        "helm uninstall milena -n milena-system --wait",
        "kubectl delete namespace milena-system --ignore-not-found",
    ):
        subprocess.run(command.split(), check=False)


def test_kubernetes(cluster, tmp_path):
    images = Path(os.environ["MILENA_IMAGES"])
    for name in ("operator.tar", "broker.tar"):
        assert (images / name).is_file(), f"no {images / name}: .ci/images {images}"
    assert wait.is_free(9092), "the walk needs port 9092"
    link(tmp_path, "charts", "examples")
    (tmp_path / "target").mkdir()
    (tmp_path / "target/images").symlink_to(images.resolve())
    # The images are built before this test, which takes minutes: here it is looked whether they are there.
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/images").write_text('#!/bin/sh\ntest -f "$1/operator.tar" -a -f "$1/broker.tar"\n')
    (tmp_path / ".ci/images").chmod(0o755)
    Walk(tmp_path, inside=[cluster, "exec"], brokers=3).go(steps("kubernetes"))
