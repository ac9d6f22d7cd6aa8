"""Small file systems of their own, one a volume: they can be filled, fail and get lost without anybody else noticing."""
import contextlib
import fcntl
import os
import shutil
import struct
import subprocess

from harness import machine

SIZE = 768 << 20
# Brokers run as this user; fsGroup is not for volumes that a test made by hand.
USER = 65532
# FS_IOC_SHUTDOWN of ext4, and its way without writing anything more: every write and sync fails from then on.
SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2


def run(*command):
    subprocess.run([str(one) for one in command], check=True, capture_output=True, text=True)


class Disk:
    """A volume of a broker on a node, the first one or another, as an ext4 file system in a file."""

    def __init__(self, space, cluster, broker, node, number=0):
        template = "data" if number == 0 else f"data-{number}"
        self.space, self.claim, self.node = space, f"{template}-{cluster}-{broker}", node
        self.home = machine.STATE / "disks" / f"{space.name}-{broker}-{number}"
        self.lives = 0

    @property
    def path(self):
        return self.home / "mount" / "data"

    def make(self):
        """A new and empty file system, and the PersistentVolume that only this broker's claim gets."""
        self.lives += 1
        mount, image = self.home / "mount", self.home / f"{self.lives}.ext4"
        mount.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(SIZE)
        run("mkfs.ext4", "-q", "-m", "0", image)
        run("mount", "-o", "loop", image, mount)
        self.path.mkdir()
        os.chown(self.path, USER, USER)
        self.space.apply({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": f"{self.space.name}-{self.claim}-{self.lives}"},
            "spec": {
                "capacity": {"storage": "512Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand",
                "persistentVolumeReclaimPolicy": "Retain", "local": {"path": str(self.path)},
                "claimRef": {"namespace": self.space.name, "name": self.claim},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [self.node]}]}]}},
            },
        })

    def fill(self):
        """Takes every byte that is left."""
        with (self.home / "mount" / "filler").open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass

    def empty(self):
        (self.home / "mount" / "filler").unlink(missing_ok=True)

    def fail(self):
        """Every write and sync fails from here on."""
        mount = os.open(self.path.parent, os.O_RDONLY)
        fcntl.ioctl(mount, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        os.close(mount)

    def partitions(self, topic):
        """The partitions of a topic that have a log here."""
        logs = (one.name.rpartition("-") for one in self.path.iterdir() if one.is_dir())
        return {int(number) for name, _, number in logs if name == topic and number.isdigit()}

    def destroy(self):
        """The file system is gone, and its volume."""
        subprocess.run(["umount", "-l", str(self.home / "mount")], check=False, capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)
        self.space.run("delete", "persistentvolume", f"{self.space.name}-{self.claim}-{self.lives}",
                       "--ignore-not-found", "--wait=false")
