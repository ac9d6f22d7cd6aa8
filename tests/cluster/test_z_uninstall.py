"""Uninstalling the operator leaves everything else. Comes last."""
from conftest import CHART, SYSTEM, VALUES
from harness.client import ask, write_and_read
from harness.kube import helm, topic


def test_uninstall_keeps_definitions_clusters_and_data(demo, operator):
    demo.apply(topic("stays"))
    demo.wait_ready("kafkatopic", "stays")
    helm("uninstall", "milena", "-n", SYSTEM, "--wait")
    assert demo.get("kafkatopic", "stays") and demo.get("kafkacluster", "demo")
    write_and_read("stays", ["without", "an operator"], group="stays")
    helm("install", "milena", CHART, "-n", SYSTEM, *VALUES, "--wait", "--timeout", "60s")
    demo.wait_ready("kafkacluster", "demo")
    assert "stays" in ask("topics")
    demo.delete("kafkatopic", "stays")
