"""The command line is a contract: what it says when all is well, and in one line when something is not."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import wait
from harness.broker import BINARY, Broker
from harness.clients import BY_NAME
from harness.driver import ClientError
from harness.records import contents, numbered

pytestmark = pytest.mark.own_broker

OBJECTS = """\
apiVersion: milena.dev/v1alpha1
kind: KafkaCluster
metadata: {name: demo}
spec:
  brokers: 1
  storage: {size: 1Gi}
  config: {num.partitions: 2}
---
apiVersion: milena.dev/v1alpha1
kind: KafkaTopic
metadata: {name: sample}
spec:
  cluster: demo
  partitions: 3
  replicas: 1
  config:
    retention.ms: 86400000
---
apiVersion: milena.dev/v1alpha1
kind: KafkaTopic
metadata: {name: orders-v1}
spec:
  cluster: demo
  topicName: Orders.v1
  partitions: 1
"""


def run(*arguments, timeout=20, **env):
    """Runs the broker to its end."""
    return subprocess.run(
        [BINARY, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **env},
    )


def refused(done, *says):
    """It ended with one clear line that holds these words, and nothing of a panic."""
    assert done.returncode not in (0, -signal.SIGABRT), done
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert "panicked" not in done.stderr and "RUST_BACKTRACE" not in done.stderr
    missing = [word for word in says if word not in done.stderr]
    assert not missing, f"does not say {missing}: {done.stderr}"
    assert len(lines) == 1, f"one line, not {len(lines)}: {done.stderr}"


def test_help():
    done = run("--help")
    assert done.returncode == 0
    for word in (
        "--listen",
        "127.0.0.1:9092",
        "--data-dir",
        "./milena-data",
        "--brokers",
        "--config",
        "KEY=VALUE",
        "--apply",
        "MILENA_LISTEN",
        "MILENA_DATA_DIR",
        "SIGTERM",
    ):
        assert word in done.stdout, word
    assert run("--version").stdout.startswith("milena-broker ")


def test_the_first_lines_say_where_and_what_next(own_broker):
    for word in (f":{own_broker.port}", str(own_broker.data_dir), "kafka-topics.sh"):
        wait.until(lambda word=word: word in own_broker.output(), 5, f"{word} in the first lines")


def test_a_port_in_use(own_broker, tmp_path):
    refused(run("--listen", own_broker.bootstrap, "--data-dir", tmp_path / "other"), own_broker.bootstrap, "--listen")


def test_a_data_directory_in_use(own_broker):
    other = f"127.0.0.1:{wait.free_ports(1)}"
    refused(run("--listen", other, "--data-dir", own_broker.data_dir), str(own_broker.data_dir), "in use")


def test_a_data_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    refused(run("--listen", "127.0.0.1:0", "--data-dir", tmp_path / "file"), str(tmp_path / "file"))


def test_a_data_directory_that_cannot_be_written(tmp_path):
    """root may write everywhere, so it is tried as nobody, or in a place where even root may not."""
    refused(run("--listen", "127.0.0.1:0", "--data-dir", "/proc/milena-data"), "/proc/milena-data")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("num.partition=3", ["num.partition"]),
        ("num.partitions=many", ["num.partitions", "many"]),
        ("num.partitions=0", ["num.partitions", "0"]),
        ("log.retention.ms=-7", ["log.retention.ms", "-7"]),
        ("auto.create.topics.enable=perhaps", ["auto.create.topics.enable", "perhaps"]),
    ],
)
def test_a_wrong_setting(tmp_path, setting, says):
    refused(run("--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--config", setting), *says)
    assert not (tmp_path / "data").exists(), "nothing is made before the settings are right"


@pytest.mark.parametrize(
    "arguments", [["--brokers", "0"], ["--listen", "nowhere"], ["--config", "novalue"], ["--no-such"]]
)
def test_a_wrong_argument(arguments):
    done = run(*arguments)
    assert done.returncode != 0 and arguments[0] in done.stderr and "panicked" not in done.stderr


def test_the_environment_says_the_same(tmp_path):
    port = wait.free_ports(1)
    broker = Broker(port=port)
    broker.command = lambda: [str(BINARY)]
    broker.env = {"MILENA_LISTEN": f"127.0.0.1:{port}", "MILENA_DATA_DIR": str(broker.data_dir)}
    try:
        broker.start()
        assert broker.data_dir.exists()
        assert broker.stop() == 0
    finally:
        broker.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_it_cleanly(own_broker, admin_of, name, number):
    admin = admin_of(own_broker)
    admin.create(name)
    admin.produce(name, numbered(10))
    began = time.monotonic()
    own_broker.process.send_signal(number)
    assert own_broker.process.wait(20) == 0
    assert time.monotonic() - began < 10, "clients that stay connected do not hold it up"
    own_broker.start()
    assert len(admin.consume(name, count=10)) == 10


class TestApply:
    """--apply takes what kubectl apply takes."""

    @staticmethod
    def file(tmp_path, text):
        path = tmp_path / "objects.yaml"
        path.write_text(text)
        return path

    def test_topics_are_made_once_and_stay(self, start_broker, admin_of, tmp_path):
        path = self.file(tmp_path, OBJECTS)
        broker = start_broker(arguments=["--apply", str(path)])
        admin = admin_of(broker)
        assert admin.call("list_topics") == {"sample": 3, "Orders.v1": 1}
        assert admin.call("describe_config", topic="sample")["retention.ms"][0] == "86400000"
        admin.produce("sample", numbered(5))
        broker.restart()  # with the same file again
        assert {name: count for name, count in admin.call("list_topics").items() if not name.startswith("__")} == {
            "sample": 3,
            "Orders.v1": 1,
        }
        assert contents(admin.consume("sample", count=5), "value") == contents(numbered(5), "value")
        path.write_text(
            OBJECTS.replace("partitions: 3", "partitions: 4").replace(
                "    retention.ms: 86400000", "    retention.bytes: 1000000"
            )
        )
        broker.restart()
        assert admin.call("list_topics")["sample"] == 4
        shown = admin.call("describe_config", topic="sample")
        assert (shown["retention.ms"][0], shown["retention.bytes"][0]) == ("604800000", "1000000"), (
            "what is taken out is reset"
        )

    @pytest.mark.parametrize(
        ("change", "line", "says"),
        [
            (("partitions: 3", "partitions: 0"), "14", ["spec.partitions"]),
            (("partitions: 3", "partitions: three"), "14", ["partitions"]),
            (("replicas: 1", "replicas: 65"), "15", ["replicas"]),
            (("retention.ms: 86400000", "retention.ms: soon"), "17", ["retention.ms", "soon"]),
            (("retention.ms: 86400000", "retention.mss: 1"), "17", ["retention.mss"]),
            (("topicName: Orders.v1", "topicName: bad name"), "24", ["topicName", "bad name"]),
            (("topicName: Orders.v1", "topikName: Orders.v1"), "24", ["topikName"]),
            (("kind: KafkaTopic", "kind: KafkaTopik"), "10", ["KafkaTopik", "KafkaTopic"]),
            (("num.partitions: 2", "num.partitions: 0"), "7", ["num.partitions"]),
            (("  brokers: 1\n", "  brokers: 1\n  - wrong\n"), "6", []),
        ],
        ids=lambda value: None if isinstance(value, (list, tuple)) else f"line-{value}",
    )
    def test_an_error_names_file_line_and_field(self, tmp_path, change, line, says):
        path = self.file(tmp_path, OBJECTS.replace(*change, 1))
        done = run("--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--apply", path)
        refused(done, f"{path}:{line}", *says)
        assert not (tmp_path / "data" / "sample-0").exists(), "nothing of the file is applied"

    def test_a_file_that_is_missing(self, tmp_path):
        refused(
            run("--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--apply", tmp_path / "none.yaml"),
            "none.yaml",
        )


def test_several_brokers_in_one_process(start_broker, admin_of, name):
    port = wait.free_ports(3)
    broker = start_broker(port=port, arguments=["--brokers", "3"])
    for other in (port + 1, port + 2):
        wait.until(lambda at=other: wait.answers(f"127.0.0.1:{at}"), 10, f"a broker on {other}")
    admin = admin_of(broker)
    admin.create(name, partitions=6)
    written = [record for partition in range(6) for record in numbered(5, f"{partition}-", partition=partition)]
    admin.produce(name, written)
    read = admin.consume(name, partitions=range(6), count=30)
    assert sorted(contents(read, "value")) == sorted(contents(written, "value"))
    broker.restart(kill=True)
    assert len(admin.consume(name, partitions=range(6), count=30)) == 30


@pytest.mark.parametrize("allowed", [True, False])
def test_automatic_creation_is_a_setting(start_broker, admin_of, name, allowed):
    broker = start_broker(config={"auto.create.topics.enable": str(allowed).lower(), "num.partitions": 2})
    admin = admin_of(broker)

    def made(label):
        try:
            BY_NAME[label].produce(broker.bootstrap, f"{name}-{label.split()[0]}", numbered(1, partition=None))
            return True
        except ClientError:
            return False

    labels = ["confluent-kafka 2.16.1", "kafka-python 1.3.5"]
    with ThreadPoolExecutor() as pool:  # each gives up after its own twenty seconds
        assert list(pool.map(made, labels)) == [allowed] * 2
    for label in labels:
        assert (f"{name}-{label.split()[0]}" in admin.call("list_topics")) == allowed
    if allowed:
        assert set(count for topic, count in admin.call("list_topics").items() if not topic.startswith("__")) == {2}


def test_probes_metrics_and_json_logs(start_broker, admin_of, name):
    port = wait.free_ports(1)
    broker = start_broker(arguments=["--http-listen", f"127.0.0.1:{port}", "--log-format", "json"])
    admin_of(broker).create(name)  # which is worth a line in the log

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()

    wait.until(lambda: wait.answers(f"127.0.0.1:{port}"), 10, "the probes' port")
    assert get("/livez")[0] == get("/readyz")[0] == 200
    metrics = get("/metrics")[1]
    assert "# TYPE" in metrics and "milena_" in metrics
    lines = [line for line in broker.output().splitlines() if line.startswith("{")]
    assert lines and all("level" in json.loads(line) for line in lines)


def test_figures(record_property, own_broker):
    """Not a bar but a report, with bounds that only a mistake would pass: start and memory of an idle broker."""
    own_broker.stop()
    times = []
    for _ in range(5):
        times.append(own_broker.start())
        own_broker.stop()
    own_broker.start()
    memory = own_broker.resident_kib() / 1024
    print(f"\nexec to the first accepted connection: best {min(times) * 1000:.0f} ms, idle memory: {memory:.1f} MiB")
    assert min(times) < 2 and memory < 100
