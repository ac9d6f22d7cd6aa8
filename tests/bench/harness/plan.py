"""How long everything takes: the whole, within half an hour beside Kafka, or a quick look."""

from dataclasses import dataclass


@dataclass
class Plan:
    """Lengths of all measurements."""

    rounds: int = 3
    # Bytes that a throughput row moves, for records of 1,000 bytes and for small ones.
    large: int = 2_000_000_000
    small: int = 600_000_000
    warm: int = 4_000_000_000
    tail_seconds: int = 8
    latency_seconds: int = 10
    steady_seconds: int = 300
    open_bytes: int = 10_000_000_000
    settle_seconds: float = 2
    single_records: int = 5000

    def bytes_of(self, size):
        return self.large if size >= 1000 else self.small


QUICK = Plan(
    rounds=2,
    large=600_000_000,
    small=200_000_000,
    warm=2_000_000_000,
    tail_seconds=4,
    latency_seconds=6,
    steady_seconds=40,
    open_bytes=2_000_000_000,
    settle_seconds=1,
    single_records=2000,
)
