"""Four processes write and read one cache while a parent kills them at random moments.

No vector is ever wrong, none that was acknowledged is lost unless it was evicted, the folder opens again, and the totals are
those of a full count. What a vector holds follows from its key, so that any wrong one is noticed.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from likewise.vectors.cache import CHECKSUM_BYTES, ENTRY_BYTES, EmbeddingCache, cache_key, item_digest

KEYS = 600
BOUND = 150  # entries, where the cache has one; a round puts and gets far fewer
PATIENCE_SECONDS = 60

WORKER = """
import os, random, sys, time
from pathlib import Path

import numpy as np

from likewise.vectors import environment
from likewise.vectors.cache import EmbeddingCache, cache_key, item_digest

environment.FIRST_MAP_BYTES = 1 << 16
folder, journal, stop, bound, seed = sys.argv[1:]
draw = random.Random(int(seed))
told = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def tell(*words):
    os.write(told, (" ".join(map(str, words)) + "\\n").encode())


with EmbeddingCache(folder, max_size=None if bound == "none" else int(bound)) as cache:
    while not Path(stop).exists():
        # as `vector_of` below, of one length for each call
        size = draw.choice((24, 700))
        numbers = draw.sample(range(size % 7, 600, 7), 10)
        keys = [cache_key(item_digest(str(number)), "model") for number in numbers]
        values = np.stack([np.arange(size, dtype=np.float32) + 1000 * number for number in numbers])
        tell("begin", time.monotonic_ns(), *numbers)
        for value, found in zip(values, cache.get_many(keys)):
            if found is not None and not np.array_equal(found, value):
                tell("wrong", time.monotonic_ns())
                sys.exit(3)
        some = draw.randrange(1, 10)
        cache.put_many(keys[:some], values[:some])
        tell("end", time.monotonic_ns(), *numbers[:some])
"""


def vector_of(number: int) -> np.ndarray:
    """Some fit into a page of the file beside others, some take pages of their own."""
    return np.arange({24 % 7: 24, 700 % 7: 700}[number % 7], dtype=np.float32) + 1000 * number


def key_of(number: int) -> bytes:
    return cache_key(item_digest(str(number)), "model")


@dataclass(frozen=True)
class Round:
    """What a worker read and wrote: `put` is empty and `end` endless where it was killed before it could tell."""

    begin: float
    end: float
    numbers: frozenset[int]
    put: frozenset[int]


def rounds(journals: Path) -> Iterator[Round]:
    for journal in journals.iterdir():
        lines = [line.split() for line in journal.read_text(encoding="ascii").splitlines()]
        assert all(words[0] in ("begin", "end") for words in lines), f"{journal.name}: a wrong vector"
        for begin, end in zip(lines, [*lines[1:], ["begin"]], strict=True):
            if begin[0] == "begin":
                told = end[0] == "end"
                put = frozenset(map(int, end[2:])) if told else frozenset[int]()
                yield Round(float(begin[1]), float(end[1]) if told else float("inf"), frozenset(map(int, begin[2:])), put)


@contextmanager
def workers(folder: Path, bound: int | None, seed: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Four of them; `start` another one in a place of the list by `replace`."""
    found = [start(folder, bound, 100 * seed + place) for place in range(4)]
    try:
        yield found
    finally:
        (folder / "stop").touch()
        for process in found:
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start(folder: Path, bound: int | None, seed: int) -> subprocess.Popen[bytes]:
    journals = folder / "journals"
    journals.mkdir(exist_ok=True)
    arguments = [str(folder / "cache"), str(journals / str(seed)), str(folder / "stop"), str(bound or "none"), str(seed)]
    process = subprocess.Popen([sys.executable, "-c", WORKER, *arguments], stderr=subprocess.PIPE, env=dict(os.environ))
    process.journal = journals / str(seed)  # type: ignore[attr-defined]
    return process


def works(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has begun, so that a kill finds it at work."""
    assert process.poll() is None, process.communicate()[1].decode()
    journal: Path = process.journal  # type: ignore[attr-defined]
    return journal.exists() and journal.stat().st_size > 0


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill_often(folder: Path, bound: int | None, kills: int, seed: int) -> None:
    draw = random.Random(seed)
    with workers(folder, bound, seed) as running:
        for number in range(kills):
            wait_until(lambda: any(works(process) for process in running))
            time.sleep(draw.uniform(0, 0.05))
            place = draw.choice([place for place, process in enumerate(running) if works(process)])
            running[place].send_signal(signal.SIGKILL)
            running[place].communicate(timeout=PATIENCE_SECONDS)
            running[place] = start(folder, bound, 10_000 * (seed + 1) + number)
        wait_until(lambda: all(works(process) for process in running))
    for process in running:
        assert process.returncode == 0, process.communicate()[1].decode()
        process.communicate()


def check_vectors(folder: Path, bound: int | None) -> int:
    """Every vector is that of its key, and what was acknowledged is there unless others, used later, took its room."""
    done = list(rounds(folder / "journals"))
    acknowledged: dict[int, float] = {}  # when its last known writing began
    for each in done:
        for number in each.put:
            acknowledged[number] = max(acknowledged.get(number, 0.0), each.begin)
    assert len(acknowledged) > 100
    lost = 0
    with EmbeddingCache(folder / "cache", max_size=None) as cache:
        for number in range(KEYS):
            found = cache.get(str(number), "model")
            assert found is None or np.array_equal(found, vector_of(number)), f"{number}: a wrong vector"
            if found is None and number in acknowledged:
                later = set().union(*(each.numbers for each in done if each.end >= acknowledged[number])) - {number}
                assert bound is not None, f"{number} was acknowledged, and is lost"
                assert len(later) >= bound, f"{number} is lost, though only {len(later)} others were used after it"
                lost += 1
        assert cache.get_stats().damaged == 0
    return lost


def check_totals(folder: Path, bound: int | None) -> None:
    """Bytes and entries as a full count finds them; every entry has one age, and every age an entry."""
    with EmbeddingCache(folder / "cache", max_size=None) as cache:

        def contents(transaction: object) -> dict[str, list[tuple[bytes, bytes]]]:
            found = {}
            for name, table in cache._tables.items():
                with transaction.cursor(db=table) as cursor:  # type: ignore[attr-defined]
                    found[name] = [(bytes(key), bytes(value)) for key, value in cursor]
            return found

        tables, stats = cache._environment.read(contents), cache.get_stats()
    held = [len(value) - CHECKSUM_BYTES + ENTRY_BYTES for _, value in tables["vectors"]]
    assert (stats.entries, stats.bytes) == (len(held), sum(held))
    assert bound is None or stats.entries <= bound
    assert [key for key, _ in tables["vectors"]] == [key for key, _ in tables["generations"]]
    assert {generation + key for key, generation in tables["generations"]} == {place for place, _ in tables["order"]}


def check_flipped_byte(folder: Path) -> None:
    """One bit of a stored vector: that vector is a miss, every other one as it was."""
    with EmbeddingCache(folder / "cache", max_size=None) as cache:
        here = [number for number in range(KEYS) if cache.get(str(number), "model") is not None]
    chosen = here[len(here) // 2]
    data = folder / "cache" / "data.mdb"
    content, wanted = bytearray(data.read_bytes()), vector_of(chosen).astype("<f4").tobytes()
    place = content.find(wanted)
    assert place >= 0
    while place >= 0:  # pages that are no longer in use may hold it, too
        content[place + 40] ^= 4
        place = content.find(wanted, place)
    data.write_bytes(content)
    with EmbeddingCache(folder / "cache", max_size=None) as cache:
        for number in here:
            found = cache.get(str(number), "model")
            assert (found is None) == (number == chosen)
            assert found is None or np.array_equal(found, vector_of(number))
        assert cache.get_stats().damaged == 1
        cache.put(str(chosen), "model", vector_of(chosen))
        np.testing.assert_array_equal(cache.get(str(chosen), "model"), vector_of(chosen))


def check(folder: Path, bound: int | None, kills: int, seed: int) -> None:
    kill_often(folder, bound, kills, seed)
    lost = check_vectors(folder, bound)
    assert (lost > 0) == (bound is not None)
    check_totals(folder, bound)
    check_flipped_byte(folder)


@pytest.mark.parametrize("bound", [None, BOUND])
def test_killed_writers_leave_a_whole_cache(bound: int | None, tmp_path: Path) -> None:
    check(tmp_path, bound, kills=8, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("bound", [None, BOUND])
def test_a_hundred_killed_writers_leave_a_whole_cache(bound: int | None, seed: int, tmp_path: Path) -> None:
    check(tmp_path, bound, kills=100, seed=seed)
