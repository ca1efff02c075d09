"""What an `EmbeddingExtractor` has done, in counts and in seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import psutil
import torch

COUNTS = ("pictures", "computed", "duplicates", "hits", "batches", "halved", "low_quality", "rejected")
KEPT = 10_000  # times of batches that percentiles are taken from


@dataclass(slots=True)
class ExtractionStats:
    """What was done since the beginning; `latencies` are the seconds of the last batches, each with its pictures."""

    pictures: int = 0
    computed: int = 0
    duplicates: int = 0
    hits: int = 0
    batches: int = 0
    halved: int = 0
    low_quality: int = 0
    rejected: int = 0
    busy: float = 0.0
    latencies: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, *, seconds: float | None = None, **counts: int) -> None:
        """Add counts, and the time of a batch of `computed` pictures."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)
        if seconds is not None:
            self.busy += seconds
            self.latencies.append((seconds, counts["computed"]))

    def counts(self) -> dict[str, int]:
        """Each count by its name."""
        return {name: getattr(self, name) for name in COUNTS}

    def metrics(self) -> dict[str, float | None]:
        """Rates, percentiles of the milliseconds per picture, and bytes; None where nothing was measured yet."""
        each = np.array([1000 * seconds / count for seconds, count in self.latencies])
        asked = self.pictures - self.duplicates
        return {
            "throughput": self.computed / self.busy if self.busy else None,
            **{f"p{share}_ms": float(np.percentile(each, share)) if len(each) else None for share in (50, 95, 99)},
            "cache_hit_rate": self.hits / asked if asked else None,
            "memory_bytes": float(psutil.Process().memory_info().rss),
            "gpu_memory_bytes": float(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None,
        }
