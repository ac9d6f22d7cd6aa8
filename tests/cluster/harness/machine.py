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


def find_pid(pod, namespace="default"):
    """The pod's process, or None where none runs just now: a container that ended is still told of for a while."""
    try:
        pid = pid_of_pod(pod, namespace)
        return pid if Path(f"/proc/{pid}/comm").read_text().startswith("milena") else None
    except (subprocess.CalledProcessError, ValueError, FileNotFoundError):
        return None


def kill_pod_process(pod, namespace="default", how=signal.SIGKILL):
    os.kill(pid_of_pod(pod, namespace), how)


def tag_image(image, tag):
    """Gives an image that every node has another tag; the new name."""
    new = f"{image.rpartition(':')[0]}:{tag}"
    for node in STATE.glob("node-*/containerd.sock"):
        command = ["ctr", "-a", str(node), "-n", "k8s.io", "images", "tag", "--force", image, new]
        subprocess.run(command, check=True, capture_output=True)
    return new


def control_plane(name, how):
    """Sends a signal to a program of the control plane: kube-apiserver, etcd."""
    os.kill(int((STATE / "pid" / name).read_text()), how)
