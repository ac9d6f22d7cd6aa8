"""The chart: what it refuses, what it asks for, what it tells."""
import json

import pytest
from conftest import CHART, SYSTEM
from harness.kube import Refused, helm, kubectl


def test_lint_passes():
    assert "0 chart(s) failed" in helm("lint", CHART)


@pytest.mark.parametrize(
    "value, says",
    [
        ("operator.replicas=none", "replicas"),
        ("operator.replicas=0", "replicas"),
        ("operator.image.pullPolicy=Sometimes", "pullPolicy"),
        ("operator.log.format=xml", "format"),
        ("broker.image.repository=Not A Name", "repository"),
        ("brokr.image.tag=x", "brokr"),
        ("watchNamespaces={Bad_Name}", "watchNamespaces"),
    ],
)
def test_a_wrong_value_is_refused_with_a_message(value, says):
    with pytest.raises(Refused) as refused:
        helm("install", "other", CHART, "--dry-run=client", "--set", value)
    assert says in str(refused.value)


def test_notes_say_what_to_do_next():
    notes = helm("get", "notes", "milena", "-n", SYSTEM)
    assert "kubectl apply" in notes and "demo-bootstrap:9092" in notes


def test_rights_are_the_least():
    role = json.loads(kubectl("get", "clusterrole", f"{SYSTEM}-milena", "-o", "json"))
    text = json.dumps(role["rules"])
    assert '"*"' not in text and "secrets" not in text
    sets = [rule for rule in role["rules"] if "kafkaclusters" in rule["resources"]]
    # An annotation that was dealt with is taken away (milena.dev/restored); it makes, replaces and deletes none.
    assert sets and all(set(rule["verbs"]) <= {"get", "list", "watch", "patch"} for rule in sets)


def test_definitions_are_described_and_kept():
    for kind, column in (("kafkaclusters", "Brokers"), ("kafkatopics", "Partitions"), ("kafkapartitions", "Cluster")):
        crd = json.loads(kubectl("get", "crd", f"{kind}.milena.dev", "-o", "json"))
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        version = crd["spec"]["versions"][0]
        assert column in [one["name"] for one in version["additionalPrinterColumns"]]
    for path in ("kafkacluster.spec.storage.size", "kc.spec.config", "kt.spec.partitions", "kt.status.topicId"):
        words = kubectl("explain", path).split("DESCRIPTION:")[1].split()
        assert len(words) > 3 and "<empty>" not in words, path


def test_an_upgrade_upgrades_definitions(operator):
    kubectl("patch", "crd", "kafkatopics.milena.dev", "--type=json", "-p",
            '[{"op": "remove", "path": "/spec/names/shortNames"}]')
    helm("upgrade", "milena", CHART, "-n", SYSTEM, "--reuse-values", "--set", "operator.log.level=info")
    crd = json.loads(kubectl("get", "crd", "kafkatopics.milena.dev", "-o", "json"))
    assert crd["spec"]["names"]["shortNames"] == ["kt"]
    operator.run("rollout", "status", "deployment/milena", "--timeout=60s")
