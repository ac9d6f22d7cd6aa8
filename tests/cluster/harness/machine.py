"""The test cluster as a machine: commands where pods are reached, processes, nodes."""
import os
import signal
import subprocess
import sys
from pathlib import Path

TOOL = os.environ["MILENA_CLUSTER_TOOL"]
# Where the tool keeps the pids of the control plane.
STATE = Path(os.environ.get("CLUSTER_DIR", "/var/tmp/milena-cluster"))


def tool(*arguments, **options):
    return subprocess.run([TOOL, *map(str, arguments)], check=True, text=True, capture_output=True, **options).stdout


def inside(*command, check=True, timeout=120, input=None):
    """Runs a command as if it were in a pod; its standard output."""
    done = subprocess.run(
        [TOOL, "exec", *map(str, command)], text=True, capture_output=True, timeout=timeout, input=input, check=False
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{command} failed ({done.returncode}):\n{done.stdout}\n{done.stderr}")
    return done.stdout


def start_inside(*command):
    """Starts a command as if it were in a pod, with pipes to it."""
    return subprocess.Popen(
        [TOOL, "exec", *map(str, command)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, bufsize=1, start_new_session=True,
    )


def python(driver, *arguments):
    """The command line of one of the drivers, in the environment of this test run."""
    return [sys.executable, str(Path(__file__).parent.parent / "drivers" / driver), *map(str, arguments)]


def pid_of_pod(pod, namespace="default"):
    return int(tool("pid", pod, namespace).strip())


def kill_pod_process(pod, namespace="default", how=signal.SIGKILL):
    os.kill(pid_of_pod(pod, namespace), how)


def control_plane(name, how):
    """Sends a signal to a program of the control plane: kube-apiserver, etcd."""
    os.kill(int((STATE / "pid" / name).read_text()), how)
