"""Topic settings, all of them, beside what Apache Kafka 4.3's own LogConfig says."""

import functools
import html
import re

import pytest

from harness import tools
from harness.clients import BY_NAME
from harness.driver import ClientError

INVALID_CONFIG = 40


@functools.cache
def kafka():
    """Kafka's settings of topics: name to a dictionary of its documentation's rows."""
    page = tools.must("java", "org.apache.kafka.storage.internals.log.LogConfig")
    found = {}
    for name, table in re.findall(r'<h4><a id="([^"]+)">.*?<tbody>(.*?)</tbody>', page, re.DOTALL):
        rows = dict(re.findall(r"<th>(.*?):</th><td>(.*?)</td>", table))
        found[name] = {row: html.unescape(text) for row, text in rows.items()}
    assert len(found) > 30, page[:500]
    return found


def default(name):
    """Kafka's default, without the explanation behind large numbers."""
    text = re.sub(r" \([^)]*\)$", "", kafka()[name]["Default"])
    return "" if text == '""' else text


@pytest.fixture
def java(broker):
    return BY_NAME["Java client 4.3"].driver(broker.bootstrap)


@pytest.fixture
def described(java, name):
    java.call("create_topic", topic=name, partitions=1, replicas=1)
    return java.call("describe_settings", topic=name)


def test_every_setting_is_described_as_kafka_does(described):
    assert set(described) == set(kafka())
    for name, shown in described.items():
        facts = kafka()[name]
        assert shown["type"].lower() == facts["Type"], name
        assert shown["value"] == default(name), name
        # With eligible leader replicas Kafka keeps this one as a default of the whole cluster.
        cluster = {"DYNAMIC_DEFAULT_BROKER_CONFIG"} if name == "min.insync.replicas" else set()
        assert shown["source"] in {"DEFAULT_CONFIG"} | cluster, name
        assert shown["documentation"], name
        assert not shown["sensitive"] and not shown["read_only"], name
        property_of_broker = facts["Server Default Property"]
        # What is unset has no value to show, and is no synonym; log.retention.hours, for one, may stand for it.
        unset = {"log.retention.ms", "log.roll.ms", "log.roll.jitter.ms", "log.flush.interval.ms", "null"}
        known = {synonym for synonym, _, _ in shown["synonyms"]}
        assert property_of_broker in known | unset, name


def test_the_tool_shows_them_all(broker, described, name):
    shown = tools.must(
        "configs", "--bootstrap-server", broker.bootstrap, "--describe", "--all", "--entity-type", "topics",
        "--entity-name", name,
    )  # fmt: skip
    rows = dict(re.findall(r"^  ([a-z0-9.]+)=(.*) sensitive=false synonyms=\{", shown, re.MULTILINE))
    assert rows == {setting: default(setting) for setting in kafka()}


def edges(name):
    """Values at the edge of what Kafka takes, and just behind it: a list of (value, whether it is taken)."""
    facts = kafka()[name]
    allowed, kind = facts.get("Valid Values", ""), facts["Type"]
    if kind == "boolean":
        return [("true", True), ("FALSE", True), ("yes", False), ("1", False)]
    if kind == "string" or name == "cleanup.policy":
        one_of = allowed.strip("[]").split(", ")
        return [(value, True) for value in one_of] + [("nonsense", False)]
    if kind == "list":
        return [("*", True), ("0:1", True), ("0-1", False)]
    bounds = re.match(r"\[(-?\d+),\.\.\.,?(-?\d+)?\]", allowed)
    found = [("x", False)]
    if kind != "double":
        found.append(("1.5", False))
    step = 0.1 if kind == "double" else 1
    if bounds:
        low, high = bounds.groups()
        found += [(low, True), (str(int(low) - step), False)]
        if high:
            found += [(high, True), (str(int(high) + step), False)]
    return found


# What is known and refused, for the reason that the message gives: docs/settings.md lists it as restricted.
RESTRICTED = {"remote.storage.enable": "true"}


def test_values_are_taken_and_refused_as_in_kafka(java, name):
    wrong = []
    for setting in sorted(kafka()):
        for value, expected in edges(setting):
            expected = expected and RESTRICTED.get(setting) != value.lower()
            config = {setting: value}
            try:
                java.call("create_topic", topic=name, partitions=1, replicas=1, config=config, validate_only=True)
                taken = True
            except ClientError as error:
                assert error.code == INVALID_CONFIG, error
                assert setting in error.message or setting in RESTRICTED, error
                taken = False
            if taken != expected:
                wrong.append((setting, value, "taken" if taken else "refused"))
    assert not wrong
