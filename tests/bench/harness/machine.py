"""What the machine says: processor time and memory of processes, and what machine it is."""

import os
import platform
import re
import shutil
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    """Processor time of the processes so far, user and system, of all their threads."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident(pids):
    """Resident memory of the processes now, in bytes."""
    pattern = re.compile(r"VmRSS:\s+(\d+)")
    return sum(int(pattern.search(Path(f"/proc/{pid}/status").read_text()).group(1)) for pid in pids) * 1024


def touch_memory(folder, total):
    """Has `total` bytes of memory used and freed again, so that what the page cache takes next is in use already.

    A virtual machine may have given memory that was free for a while back to its host; to touch it again costs several
    times what the copy into it costs, and is nothing that a broker does or could leave out.
    """
    path = Path(folder) / "memory"
    chunk = bytes(4 << 20)
    with path.open("wb", buffering=0) as file:
        path.unlink()
        for _ in range(total // len(chunk)):
            file.write(chunk)


def describe(data_dir):
    """One line on this machine, for the head of a report."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", cpuinfo)
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) / 1024 / 1024
    return (
        f"{os.cpu_count()} processors ({model.group(1) if model else platform.machine()}), {memory:.0f} GiB of memory, "
        f"Linux {platform.release().split('-')[0]}, {file_system(data_dir)}"
    )


def file_system(path):
    """The type of the file system that holds a folder."""
    path = os.path.realpath(path)
    best = ("", "?")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def free_bytes(path):
    return shutil.disk_usage(path).free


def tcp_memory():
    """What the kernel holds for all TCP connections, in bytes: those of the clients on this machine, too."""
    pages = re.search(r"^TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE).group(1)
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
