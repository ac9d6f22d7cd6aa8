"""Apache Kafka's own client and tools, where pods are reached: by the program that MILENA_KAFKA_TOOLS names."""
import functools
import os
import subprocess
from pathlib import Path

from harness import machine

TOOLS = os.environ.get("MILENA_KAFKA_TOOLS")
DRIVERS = Path(__file__).parent.parent / "drivers"
# A tool lives for two seconds; the optimising compiler would only keep a core busy.
OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")


def are_there():
    """Whether there are any; in the gate there must be."""
    assert TOOLS or not os.environ.get("CI"), "MILENA_KAFKA_TOOLS must name the program that runs Apache Kafka's tools"
    return bool(TOOLS)


@functools.cache
def libs():
    return subprocess.run([TOOLS, "libs"], check=True, capture_output=True, text=True).stdout.strip()


def java(*arguments):
    """The command line of a class, or of a source file."""
    return ["java", *OPTIONS, "-cp", f"{libs()}/*", *map(str, arguments)]


def load(*arguments):
    return java(DRIVERS / "Load.java", *arguments)


def run(name, *arguments):
    """Runs one of Kafka's tools, by its class; what it printed."""
    return machine.inside(*java(name, *arguments), timeout=180)
