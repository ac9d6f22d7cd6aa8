"""A Kafka client inside the cluster."""
import json

from harness import machine

DEMO = "demo-bootstrap:9092"


def ask(command, *arguments, bootstrap=DEMO):
    """One command of drivers/admin.py; its answer."""
    return json.loads(machine.inside(*machine.python("admin.py", bootstrap, command, *arguments)))


def write_and_read(topic, values, bootstrap=DEMO, group="check"):
    """Produces the values and reads them back in a group."""
    ask("produce", topic, *values, bootstrap=bootstrap)
    read = ask("consume", topic, len(values), group, bootstrap=bootstrap)
    assert sorted(read) == sorted(values), f"wrote {values}, read {read}"
