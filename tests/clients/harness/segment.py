"""Kafka's segment files, read and written without any of the project's code."""

import struct

HEADER = struct.Struct(">qiibIhiqqqhii")  # KIP-98: base offset … record count
LENGTH_AT = 12  # base offset and length come before what the length counts


class Batch:
    """One record batch: where it lies in the file and which offsets it holds."""

    def __init__(self, position, fields):
        self.position = position
        self.base_offset, length, _, self.magic, self.crc = fields[:5]
        self.size = LENGTH_AT + length
        self.last_offset = self.base_offset + fields[6]
        self.end = position + self.size


def batches(path):
    """The complete batches from the file's start to where none follows: zeros, or the end."""
    data, found, position = path.read_bytes(), [], 0
    while position + HEADER.size <= len(data):
        batch = Batch(position, HEADER.unpack_from(data, position))
        if batch.magic != 2 or batch.size < HEADER.size or batch.end > len(data):
            break
        found.append(batch)
        position = batch.end
    return found


def cut(path, size):
    """Ends the file there."""
    with path.open("r+b") as file:
        file.truncate(size)


def overwrite(path, position, data):
    """Writes over what lies there, or after the end."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)


def flip(path, position):
    """Turns one bit."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 0x10]))
