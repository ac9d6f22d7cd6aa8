"""Each client library in a virtual environment of its own, made when first needed and kept in a cache."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("MILENA_TEST_CACHE") or Path.home() / ".cache/milena-tests")

CODECS = ["lz4==4.4.5", "python-snappy==0.7.3", "cramjam==2.14.0"]
# The last releases that still install on Python 3.6.
OLD_CODECS = ["lz4==3.1.10", "python-snappy==0.6.1"]

# name -> (interpreter, packages). kafka-python 1.3.5 and PyKafka 2.8 are of 2017 and 2018: the former names an
# argument `async`, a keyword since Python 3.7, so both run on a Python of their time.
ENVIRONMENTS = {
    "kafka-python-3.0.12": (None, ["kafka-python==3.0.12", "zstandard==0.25.0", "crc32c==2.9.post0", *CODECS]),
    "kafka-python-2.0.2": (None, ["kafka-python==2.0.2", "zstandard==0.25.0", "crc32c==2.9.post0", *CODECS]),
    "kafka-python-1.4.7": (None, ["kafka-python==1.4.7", *CODECS]),
    "kafka-python-1.3.5": ("python3.6", ["kafka-python==1.3.5", *OLD_CODECS]),
    "pykafka-2.8.0": ("python3.6", ["pykafka==2.8.0", "xxhash==3.2.0", *OLD_CODECS]),
    "confluent-kafka-2.16.1": (None, ["confluent-kafka==2.16.1"]),
}
# A pip that knows the wheels that the old packages were published as.
OLD_PIP = "pip==21.3.1"


def python(name):
    """The interpreter of the environment, which is made if need be."""
    interpreter, packages = ENVIRONMENTS[name]
    home = CACHE / "venvs" / name
    done = home / ".complete"
    wanted = "\n".join(packages)
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != wanted:
            make(home, interpreter, packages)
            done.write_text(wanted)
    return home / "bin/python"


def make(home, interpreter, packages):
    found = shutil.which(interpreter) if interpreter else sys.executable
    if not found:
        raise RuntimeError(f"{home.name} needs {interpreter}, which is not on the PATH")
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([found, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if interpreter:
        subprocess.run([*pip, OLD_PIP], check=True, stderr=subprocess.DEVNULL)
    subprocess.run([*pip, *packages], check=True)
