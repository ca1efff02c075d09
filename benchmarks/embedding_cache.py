"""Vectors read back by key: 100,000 of 768 dimensions from `EmbeddingCache`, against SQLite and a folder of .npy files.

Keys are asked for 256 at a time in random order. Ours verifies a checksum of every vector and notes its use for eviction; storing
those notes is part of the time. SQLite has the vectors as blobs of one table (SELECT … WHERE key IN …), the folder one file for
each, as caches of embeddings are usually built; neither verifies anything. All is in the page cache.

Then opening the cache in a new process until the first vector is there; and 10,000 small pictures embedded twice, where the
second time nothing may be decoded and nothing computed: calls are counted.

The goal of the last line is what 100,000 vectors a second are of the peer's rate, and no less than its rate.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from transformers import ResNetConfig, ResNetModel, ViTImageProcessorPil

import harness
from likewise.data.image_refs import ImageRef, image_digest
from likewise.encoders import pictures as decoding_module
from likewise.encoders.hub import without_progress_bars
from likewise.encoders.image import ImageEncoder
from likewise.encoders.options import ImageEncoderOptions
from likewise.vectors.cache import EmbeddingCache, cache_key
from likewise.vectors.compute import Embed
from likewise.vectors.extract import extract

VECTORS, QUICK = 100_000, 5_000
DIMENSION = 768
BATCH = 256
FILES = 10_000  # of the folder: its rate does not depend on how many there are
PICTURES, QUICK_PICTURES = 10_000, 500
SIDE = 64  # pixels
GOAL_RATE = 100_000  # vectors a second

OPENING = """
import sys, time
from likewise.vectors.cache import EmbeddingCache
began = time.perf_counter()
with EmbeddingCache(sys.argv[1], max_size=None) as cache:
    opened = time.perf_counter()
    assert cache.get_many([bytes.fromhex(sys.argv[2])])[0] is not None
    print(1000 * (opened - began), 1000 * (time.perf_counter() - began))
"""


def keys_of(count: int, version: str = "model") -> list[bytes]:
    return [cache_key(number.to_bytes(32), version) for number in range(count)]


def batches(keys: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]


def by_likewise(cache: EmbeddingCache, keys: Sequence[bytes]) -> NDArray[np.float32]:
    """The last batch; uses are stored, too."""
    for some in batches(keys):
        found = cache.get_many(some)
        assert all(vector is not None for vector in found)
    cache.flush()
    return np.stack([vector for vector in found if vector is not None])


def by_sqlite(base: sqlite3.Connection, keys: Sequence[bytes]) -> NDArray[np.float32]:
    for some in batches(keys):
        query = f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(some))})"
        blobs = dict(base.execute(query, some).fetchall())
        found = [np.frombuffer(blobs[key], dtype=np.float32) for key in some]
    return np.stack(found)


def by_files(folder: Path, keys: Sequence[bytes]) -> NDArray[np.float32]:
    for some in batches(keys):
        found = [np.load(folder / f"{key.hex()}.npy") for key in some]
    return np.stack(found)


def filled(place: Path, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> tuple[EmbeddingCache, sqlite3.Connection]:
    """Both, and the folder of files; how fast they are written is printed."""
    began = time.perf_counter()
    cache = EmbeddingCache(place / "cache", max_size=None)
    for start in range(0, len(keys), BATCH):
        cache.put_many(keys[start : start + BATCH], vectors[start : start + BATCH])
    ours = time.perf_counter() - began
    began = time.perf_counter()
    base = sqlite3.connect(place / "vectors.sqlite")
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
    for start in range(0, len(keys), BATCH):
        some = zip(keys[start : start + BATCH], vectors[start : start + BATCH], strict=True)
        base.executemany("INSERT INTO vectors VALUES (?, ?)", [(key, vector.tobytes()) for key, vector in some])
        base.commit()
    theirs = time.perf_counter() - began
    (place / "files").mkdir()
    began = time.perf_counter()
    for key, vector in zip(keys[:FILES], vectors[:FILES], strict=True):
        np.save(place / "files" / f"{key.hex()}.npy", vector)
    files = (time.perf_counter() - began) / min(FILES, len(keys))
    rates = f"{len(keys) / ours:,.0f}, SQLite {len(keys) / theirs:,.0f}, files {1 / files:,.0f} vectors/s"
    print(f"written {BATCH} at a time, each batch durable but in files: likewise {rates}")
    return cache, base


def compare(count: int, place: Path, repeat: int) -> tuple[float, float]:
    """Rates of reading, ours and the fastest other one's."""
    vectors = np.random.default_rng(0).standard_normal((count, DIMENSION), dtype=np.float32)
    keys = keys_of(count)
    cache, base = filled(place, keys, vectors)
    order = np.random.default_rng(1).permutation(count)
    asked, of_files = [keys[row] for row in order], [keys[row] for row in order if row < FILES]
    sides = harness.timed(
        lambda: by_likewise(cache, asked),
        lambda: by_sqlite(base, asked),
        lambda: by_files(place / "files", of_files),
        repeat=repeat,
    )
    last = vectors[order[len(order) - len(sides[0].value) :]]
    assert all(np.array_equal(side.value, last) for side in sides[:2]), "a side gives other vectors"
    for start in range(0, count, BATCH):
        found = cache.get_many(keys[start : start + BATCH])
        assert np.array_equal(np.stack(found), vectors[start : start + BATCH]), "ours gives other vectors"
    names = ("likewise EmbeddingCache", "SQLite, blobs", "folder of .npy files")
    rates = [number / side.seconds for number, side in zip((count, count, len(of_files)), sides, strict=True)]
    for name, rate in zip(names, rates, strict=True):
        print(f"hits, {count:,} x {DIMENSION}: {name:24} {rate:10,.0f} vectors/s")
    absent = keys_of(count, "another model")
    (missed,) = harness.timed(lambda: [cache.get_many(some) for some in batches(absent)], repeat=repeat)
    print(f"misses: likewise EmbeddingCache {count / missed.seconds:,.0f} keys/s")
    stats = cache.get_stats()
    assert (stats.entries, stats.damaged) == (count, 0)
    cache.close()
    base.close()
    return rates[0], max(rates[1:])


def opening(place: Path, repeat: int) -> None:
    """Print what a new process waits for."""
    times = []
    for _ in range(repeat):
        command = [sys.executable, "-c", OPENING, str(place / "cache"), keys_of(1)[0].hex()]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        times.append(tuple(map(float, done.stdout.split())))
    opened, first = (min(column) for column in zip(*times, strict=True))
    size = (place / "cache" / "data.mdb").stat().st_size / 1e6
    print(f"opened in a new process, imports excluded: {opened:.1f} ms, first vector after {first:.1f} ms ({size:,.0f} MB)")


class Counted:
    """How many pictures were decoded, and how many batches computed, by whatever backend."""

    def __init__(self) -> None:
        self.decoded = self.computed = 0
        decode, forward = decoding_module.decode, Embed.forward

        def decoding(*arguments: Any, **named: Any) -> Any:
            self.decoded += 1
            return decode(*arguments, **named)

        def computing(*arguments: Any, **named: Any) -> Any:
            self.computed += 1
            return forward(*arguments, **named)

        decoding_module.decode, Embed.forward = decoding, computing  # type: ignore[assignment,method-assign]


def tiny_encoder(place: Path) -> ImageEncoder:
    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
    with without_progress_bars():
        ResNetModel(config).save_pretrained(place / "model")
    ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(place / "model")
    return ImageEncoder(ImageEncoderOptions(model=str(place / "model")))


def pictures(count: int, place: Path) -> list[ImageRef]:
    """PNG files of soft blobs, each another one."""
    (place / "pictures").mkdir()
    found = []
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        path = place / "pictures" / f"{number}.png"
        Image.fromarray(coarse).resize((120, 90), Image.Resampling.BICUBIC).save(path, compress_level=1)
        found.append(ImageRef(image_digest(path.read_bytes()), path=str(path)))
    return found


def rerun(count: int, place: Path) -> bool:
    """Embed pictures twice; whether the second time nothing was decoded and nothing computed."""
    encoder, payload = tiny_encoder(place), pictures(count, place)
    counted = Counted()
    seconds, calls, vectors = [], [], []
    for _ in range(2):
        counted.decoded = counted.computed = 0
        began = time.perf_counter()
        with EmbeddingCache(place / "pictures-cache", max_size=None) as cache:
            vectors.append(extract(encoder, payload, cache=cache))
        seconds.append(time.perf_counter() - began)
        calls.append((counted.decoded, counted.computed))
    assert np.array_equal(*vectors), "the second run gives other vectors"
    assert calls[0][0] >= count, "the first run decodes every picture"
    assert calls[0][1] > 0, "and computes"
    for name, took, (decoded, computed) in zip(("first run", "run again"), seconds, calls, strict=True):
        print(f"{count:,} pictures, {name}: {took:6.2f} s, {decoded:,} decoded, {computed:,} batches computed")
    print(f"run again in {seconds[1] / seconds[0]:.1%} of the time; a tiny model: a real one's first run takes longer")
    return calls[1] == (0, 0)


def main() -> None:
    options = harness.arguments(__doc__)
    print(harness.machine())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        ours, peer = compare(QUICK if options.quick else VECTORS, place, options.repeat)
        opening(place, options.repeat)
        idle = rerun(QUICK_PICTURES if options.quick else PICTURES, place)
    print(f"goals: {GOAL_RATE:,} vectors/s {'met' if ours >= GOAL_RATE else 'not met'}; ", end="")
    print(f"a rerun decodes and computes nothing: {'met' if idle else 'not met'}")
    print("the last line is the rate of reading, against the faster of the others")
    goal = max(1.0, round(GOAL_RATE / peer, 3))
    harness.result("embedding_cache", ours, peer, goal, higher_is_better=True, gated=not options.quick)


if __name__ == "__main__":
    main()
