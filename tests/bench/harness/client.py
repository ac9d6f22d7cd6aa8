"""The clients: librdkafka's rdkafka_performance, and flow.c beside this folder for fixed rates.

librdkafka's sources come with the crate rdkafka-sys, by cargo; they are built once into the cache.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("MILENA_TEST_CACHE") or Path.home() / ".cache/milena-tests")
CRATE = "4.10.0"
HOME = CACHE / f"librdkafka-{CRATE}"
FLOW_SOURCE = Path(__file__).resolve().parents[1] / "flow.c"
WITHOUT = ["ssl", "gssapi", "curl", "zstd", "zlib", "lz4-ext"]


def build():
    """Builds what is missing; a minute at the first time."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (CACHE / "librdkafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (HOME / "rdkafka_performance").exists():
            print("building librdkafka", flush=True)
            build_librdkafka()
        if not flow().exists() or flow().stat().st_mtime < FLOW_SOURCE.stat().st_mtime:
            library = HOME / "librdkafka.a"
            include = ["-isystem", str(HOME)]
            run("cc", "-O2", "-o", flow(), FLOW_SOURCE, *include, library, "-lpthread", "-lm", "-ldl", cwd=HOME)


def flow():
    return HOME / "flow"


def build_librdkafka():
    sources = HOME / "sources"
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir()
    (sources / "lib.rs").touch()
    (sources / "Cargo.toml").write_text(
        '[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[workspace]\n'
        f'[dependencies]\nrdkafka-sys = "={CRATE}"\n'
    )
    run("cargo", "vendor", "-q", "vendor", cwd=sources)
    tree = sources / "vendor/rdkafka-sys/librdkafka"
    run("./configure", *(f"--disable-{name}" for name in WITHOUT), cwd=tree)
    run("make", "-j", str(os.cpu_count()), "-C", "src", "librdkafka.a", cwd=tree)
    run("make", "-C", "examples", "rdkafka_performance", cwd=tree)
    for built in ["src/librdkafka.a", "src/rdkafka.h", "examples/rdkafka_performance"]:
        shutil.copy2(tree / built, HOME)
    shutil.rmtree(sources)


def run(*command, cwd):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed in {cwd}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def performance(*arguments, timeout=600):
    """Runs rdkafka_performance; the MB/s that it reports."""
    command = [str(HOME / "rdkafka_performance"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    found = re.findall(r"([\d.]+) MB/s", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return float(found[-1])


def produce(bootstrap, topic, size, total, acks=1, codec="none"):
    """Produces `total` bytes of records of that size as fast as it goes; MB/s."""
    return performance(
        "-P", "-t", topic, "-b", bootstrap, "-s", size, "-c", max(1, total // size), "-a", acks, "-z", codec
    )


def consume(bootstrap, topic, size, total):
    """Consumes `total` bytes of partition 0 from its beginning; MB/s."""
    return performance("-C", "-t", topic, "-p", 0, "-b", bootstrap, "-o", "beginning", "-c", max(1, total // size))


def at_rate(bootstrap, topic, rate, seconds, **options):
    """Runs flow; what it prints. Options are its own: size, warm, acks, consumers, linger, partitions,
    interval."""
    command = [str(flow()), "-b", bootstrap, "-t", topic, "-r", str(rate), "-d", str(seconds)]
    for name, value in options.items():
        command += [f"-{name[0]}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120)
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: not all was acknowledged and seen: {found | {'series': []}}")
    return found
