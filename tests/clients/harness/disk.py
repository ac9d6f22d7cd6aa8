"""Small file systems that a test mounts, and that fail when it says so."""

import fcntl
import os
import struct
import subprocess

# Linux: every later access to the file system is answered with an I/O error, as if its disk were gone.
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"this test mounts file systems, which needs root: {command}: {done.stderr}"


class Disk:
    """An ext4 file system of so many megabytes, at `path`."""

    def __init__(self, root, name, megabytes=64):
        self.image, self.path = root / f"{name.replace('/', '-')}.img", root / name
        self.path.mkdir(parents=True)
        with self.image.open("wb") as image:
            image.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-O", "^has_journal" if megabytes < 8 else "has_journal", self.image)
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)

    def fail(self):
        """From now on every write, sync and look at a directory is an I/O error."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(directory)

    def unmount(self):
        run("umount", "-l", self.path)
