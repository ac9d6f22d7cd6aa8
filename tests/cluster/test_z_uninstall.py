"""Uninstalling the operator leaves everything else. Comes last."""
from conftest import CHART, SYSTEM, VALUES
from harness.client import ask, write_and_read
from harness.kube import helm, topic


def test_uninstall_keeps_definitions_clusters_and_data(demo, operator):
    for name in ("stays", "groups-are-there"):
        demo.apply(topic(name))
        demo.wait_ready("kafkatopic", name)
    # The first group makes __consumer_offsets, which takes the operator.
    write_and_read("groups-are-there", ["with", "an operator"], group="before")
    helm("uninstall", "milena", "-n", SYSTEM, "--wait")
    assert demo.get("kafkatopic", "stays") and demo.get("kafkacluster", "demo")
    write_and_read("stays", ["without", "an operator"], group="stays")
    helm("install", "milena", CHART, "-n", SYSTEM, *VALUES, "--wait", "--timeout", "60s")
    demo.wait_ready("kafkacluster", "demo")
    assert "stays" in ask("topics")
    demo.delete("kafkatopic", "stays", "groups-are-there")
