"""Etcd as a person backs it up and restores it: its data directory, while the control plane stands still."""
import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import machine
from harness.kube import Refused, kubectl
from harness.wait import until

DATA = machine.STATE / "etcd"
# What watches the API server knows nothing of versions that go back: a restore ends with starting all of it anew.
WATCHERS = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet-1", "kubelet-2", "kubelet-3")


def pid(name):
    return int((machine.STATE / "pid" / name).read_text())


def runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def backup(name):
    """A copy of what etcd has now."""
    copy = machine.STATE / f"backup-{name}"
    machine.control_plane("etcd", signal.SIGSTOP)
    try:
        shutil.copytree(DATA, copy)
    finally:
        machine.control_plane("etcd", signal.SIGCONT)
    return copy


def stop(name, how=signal.SIGTERM):
    """Ends a program of the control plane; its command line."""
    process = pid(name)
    command = Path(f"/proc/{process}/cmdline").read_text().rstrip("\0").split("\0")
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, how)
    until(f"{name} has ended", lambda: not runs(process), 60)
    return command


def start(name, command):
    log = (machine.STATE / "log" / f"{name}.log").open("a")
    namespace = ["nsenter", "--net=/run/netns/milena", "setsid", *command]
    process = subprocess.Popen(namespace, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    (machine.STATE / "pid" / name).write_text(f"{process.pid}\n")


def is_ready():
    try:
        return kubectl("get", "--raw=/readyz", timeout=10).strip() == "ok"
    except (Refused, subprocess.TimeoutExpired):
        return False


def restore(copy):
    """Puts a copy in the place of what etcd has, and starts the control plane anew."""
    # Nodes that are stopped have no kubelet.
    watchers = {name: stop(name, signal.SIGKILL) for name in WATCHERS if runs(pid(name))}
    server, store = stop("kube-apiserver", signal.SIGKILL), stop("etcd", signal.SIGKILL)
    shutil.rmtree(DATA)
    shutil.move(copy, DATA)
    start("etcd", store)
    time.sleep(1)
    start("kube-apiserver", server)
    until("the API server is back", is_ready, 60, every=0.5)
    for name, command in watchers.items():
        start(name, command)
