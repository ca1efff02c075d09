"""What every benchmark shares: both sides timed in turns within one run, the machine named, one JSON line at the end.

Only ratios of two sides of the same run mean anything on a shared machine. The last line of every benchmark is
`{"name", "ours", "peer", "ratio", "goal", "met"}`; `make bench` reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "torch", "faiss-cpu", "sentence-transformers", "transformers", "lightning", "pyarrow")


@dataclass(frozen=True, slots=True)
class Timed:
    """The best wall-clock seconds of one side, every repetition in order, and what its last call returned."""

    seconds: float
    all_seconds: tuple[float, ...]
    value: Any


def arguments(
    description: str | None = None, *, extend: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """The command line of a benchmark: `--quick` for small sizes, `--threads`, `--repeat`; `extend` adds its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that the benchmark works, proves nothing")
    parser.add_argument("--threads", type=int, default=cores(), help="threads of both sides (default: all cores)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of each side; the best counts")
    if extend is not None:
        extend(parser)
    return parser.parse_args()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def timed(*sides: Callable[[], Any], repeat: int = 3) -> list[Timed]:
    """Each side's best of `repeat` runs, in turns (a b, b a, a b …) so that a slow moment of the machine strikes both."""
    seconds: list[list[float]] = [[] for _ in sides]
    values: list[Any] = [None] * len(sides)
    for turn in range(repeat):
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            values[side] = None  # the last result is freed before the clock starts
            start = time.perf_counter()
            values[side] = sides[side]()
            seconds[side].append(time.perf_counter() - start)
    return [Timed(min(times), tuple(times), value) for times, value in zip(seconds, values, strict=True)]


def result(name: str, ours: float, peer: float, goal: float, *, higher_is_better: bool, gated: bool = True) -> bool:
    """Print the last line: `ratio` is how many times better we are than the peer, `met` whether it reaches `goal`.

    Seconds and bytes are better when lower, rates when higher. `gated=False`: the ratio is reported and `met` is null, for a
    machine or a size for which no goal was set. Returns whether the goal is met.
    """
    ratio = ours / peer if higher_is_better else peer / ours
    met = ratio >= goal
    rounded = {"ours": _rounded(ours), "peer": _rounded(peer), "ratio": _rounded(ratio)}
    print(json.dumps({"name": name, **rounded, "goal": goal, "met": met if gated else None}), flush=True)
    return met


def machine() -> str:
    """One line: processor, cores, memory, what else is running, and the versions that decide the speed."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    installed = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    return (
        f"{_processor()}; {cores()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f}, OMP_NUM_THREADS {threads}; "
        f"Python {platform.python_version()}, {installed}"
    )


def peak_memory() -> int:
    """The most bytes this process held in memory at once, so far (resident set)."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.partition(":")[::2] for line in reversed(information.read_text().splitlines()))
    values = {name.strip(): value.strip() for name, value in fields.items()}
    name, flags = values.get("model name", platform.machine()), values.get("flags", "").split()
    wide = " ".join(flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags)
    return f"{name} ({wide})"
