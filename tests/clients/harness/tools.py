"""Programs that are not libraries: kcat, and the command line tools of Apache Kafka 4.3 and 1.1.0.

MILENA_KAFKA_TOOLS names a program with the verbs topics, configs, console-producer, java CLASS, 1.1.0 CLASS, libs …
"""

import functools
import os
import shutil
import subprocess

# A tool lives for two seconds; the optimising compiler would only keep a core busy.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m"


def kafka_tools():
    program = os.environ.get("MILENA_KAFKA_TOOLS")
    if not program:
        raise RuntimeError("MILENA_KAFKA_TOOLS must name the program that runs Apache Kafka's tools")
    return program


def kcat():
    program = shutil.which("kcat") or shutil.which("kafkacat")
    if not program:
        raise RuntimeError("kcat is not on the PATH")
    return program


@functools.cache
def libs():
    """The folder of Kafka 4.3's jars."""
    return subprocess.run([kafka_tools(), "libs"], check=True, capture_output=True, text=True).stdout.strip()


def environment():
    return {**os.environ, "KAFKA_OPTS": SHORT_LIVED}


def run(*arguments, stdin=None, timeout=60):
    """Runs one of Kafka's tools to its end; the result has returncode, stdout and stderr as text."""
    return subprocess.run(
        [kafka_tools(), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(),
        check=False,
    )


def must(*arguments, **more):
    """Like run, and fails unless the tool succeeded; returns what it printed."""
    done = run(*arguments, **more)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def spawn(*arguments, **more):
    """Starts one of Kafka's tools in a process group of its own, so that all of it can be killed."""
    return subprocess.Popen(
        [kafka_tools(), *map(str, arguments)], text=True, env=environment(), start_new_session=True, **more
    )
