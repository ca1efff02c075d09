"""Every vector ever computed, on the local disk, shared by any number of processes.

Four tables of an LMDB environment:

    vectors      key → a checksum, then the vector in float32
    generations  key → the generation in which it was last used
    order        generation, key → nothing: who goes first when there is no room
    totals       live bytes, live entries, the present generation

A generation is one writing transaction. What is read is noted in memory, and stored by the next writing transaction.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from likewise.types import Float32
from likewise.vectors.environment import Environment

KEY_BYTES = 32
CHECKSUM_BYTES = 16
TOUCHES = 4096
"""Uses noted in memory before they are stored without waiting for new vectors."""

TABLES = ("vectors", "generations", "order", "totals")
TOTALS = struct.Struct("<qqQ")  # live bytes, live entries, generation
GENERATION = struct.Struct(">Q")  # big-endian: LMDB's order of keys is then the order of age
ENTRY_BYTES = 3 * KEY_BYTES + 2 * GENERATION.size + CHECKSUM_BYTES
"""What an entry takes in the tables beside its vector."""


def item_digest(item: Any) -> bytes:
    """32 bytes that name a payload: text by its UTF-8, a file by its bytes, an array by its dtype, shape and bytes.

    Any other payload (a reference to an archive's member) names itself by a method `digest() -> bytes`.
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    if isinstance(item, str):
        digest.update(b"text\0" + item.encode("utf-8", "surrogatepass"))
    elif isinstance(item, (bytes, bytearray, memoryview)):
        digest.update(b"bytes\0")
        digest.update(item)
    elif isinstance(item, np.ndarray):
        digest.update(f"array\0{item.dtype.str}\0{item.shape}\0".encode())
        digest.update(np.ascontiguousarray(item).tobytes())
    else:
        digest.update(b"digest\0" + item.digest())
    return digest.digest()


def cache_key(digest: bytes, model_version: str) -> bytes:
    """32 bytes that name a vector: of an item's digest, by an encoder's key."""
    return hashlib.blake2b(digest + model_version.encode(), digest_size=KEY_BYTES).digest()


@dataclass(frozen=True, slots=True)
class CacheStats:
    """`entries` and live `bytes` of all processes; `hits`, `misses`, `damaged` and `evicted` since this object was made."""

    entries: int
    bytes: int
    hits: int
    misses: int
    damaged: int
    evicted: int


class EmbeddingCache:
    """Vectors by item and model version, on a local disk: float32, checked when read, the longest unused dropped for room.

    `max_size` bounds the entries and `max_bytes` the bytes of live entries, None for no bound; each process keeps to its own
    bounds when it writes. A damaged value is a miss. Not for network file systems; open it after a fork, not before.
    """

    def __init__(
        self, cache_dir: str | Path = "./cache/embeddings", max_size: int | None = 10_000, max_bytes: int | None = None
    ) -> None:
        self._environment = Environment.open(Path(cache_dir), TABLES)
        self._tables = self._environment.tables
        self._max_size = max_size
        self._max_bytes = max_bytes
        self._touched: dict[bytes, None] = {}
        self._hits = self._misses = self._damaged = self._evicted = 0
        self._closed = False

    def get(self, item: Any, model_version: str) -> Float32 | None:
        """The vector [D] of an item by a model version, or None."""
        return self.get_many([self._get_cache_key(item, model_version)])[0]

    def put(self, item: Any, model_version: str, embedding: ArrayLike) -> None:
        """Keep the vector [D] of an item; stored as float32."""
        self.put_many([self._get_cache_key(item, model_version)], np.asarray(embedding, dtype=np.float32)[None])

    def get_many(self, keys: Sequence[bytes], dimension: int | None = None) -> list[Float32 | None]:
        """The vector of each key from `cache_key`, None where there is none, it is damaged, or it has another dimension."""

        def work(transaction: Any) -> list[Float32 | None]:
            return [self._read(transaction, key) for key in keys]

        vectors = self._environment.read(work)
        found = [vector if vector is not None and dimension in (None, len(vector)) else None for vector in vectors]
        for key, vector in zip(keys, found, strict=True):
            if vector is not None:
                self._touched[key] = None
        hits = sum(vector is not None for vector in found)
        self._hits += hits
        self._misses += len(keys) - hits
        if len(self._touched) >= TOUCHES:
            self.flush()
        return found

    def put_many(self, keys: Sequence[bytes], vectors: Float32) -> None:
        """Keep the vectors [B, D] float32 under keys from `cache_key`, in one transaction."""
        assert vectors.shape[0] == len(keys), "one key for each vector"
        assert vectors.ndim == 2, "one vector for each key"
        values = [np.ascontiguousarray(vector, dtype="<f4").tobytes() for vector in vectors]

        def work(transaction: Any) -> int:
            used, entries, generation = self._totals(transaction)
            generation += 1
            self._store_touches(transaction, generation)
            for key, value in zip(keys, values, strict=True):
                removed = self._remove(transaction, key)
                if removed is not None:
                    used, entries = used - removed, entries - 1
                transaction.put(key, _checksum(key, value) + value, db=self._tables["vectors"])
                self._place(transaction, key, generation)
                used, entries = used + len(value) + ENTRY_BYTES, entries + 1
            return self._evict(transaction, used, entries, generation)

        self._evicted += self._environment.write(work)
        self._touched.clear()

    def flush(self) -> None:
        """Store which vectors were used."""
        if not self._touched:
            return

        def work(transaction: Any) -> None:
            used, entries, generation = self._totals(transaction)
            self._store_touches(transaction, generation + 1)
            self._set_totals(transaction, used, entries, generation + 1)

        self._environment.write(work)
        self._touched.clear()

    def clear(self) -> None:
        """Forget every vector, for all processes."""

        def work(transaction: Any) -> None:
            for table in self._tables.values():
                transaction.drop(table, delete=False)

        self._environment.write(work)
        self._touched.clear()

    def get_stats(self) -> CacheStats:
        """How full the cache is, and how it served."""
        used, entries, _ = self._environment.read(self._totals)
        return CacheStats(entries, used, self._hits, self._misses, self._damaged, self._evicted)

    def close(self) -> None:
        """Store which vectors were used and give the folder back."""
        if not self._closed:
            self.flush()
            self._closed = True
            self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _get_cache_key(self, item: Any, model_version: str) -> bytes:
        return cache_key(item_digest(item), model_version)

    def _read(self, transaction: Any, key: bytes) -> Float32 | None:
        value = transaction.get(key, db=self._tables["vectors"])
        if value is None:
            return None
        stored = bytes(value)
        checksum, vector = stored[:CHECKSUM_BYTES], stored[CHECKSUM_BYTES:]
        if checksum != _checksum(key, vector):
            self._damaged += 1
            return None
        return np.frombuffer(vector, dtype="<f4").astype(np.float32)

    def _totals(self, transaction: Any) -> tuple[int, int, int]:
        stored = transaction.get(b"totals", db=self._tables["totals"])
        used, entries, generation = TOTALS.unpack(stored) if stored is not None else (0, 0, 0)
        return used, entries, generation

    def _set_totals(self, transaction: Any, used: int, entries: int, generation: int) -> None:
        transaction.put(b"totals", TOTALS.pack(used, entries, generation), db=self._tables["totals"])

    def _store_touches(self, transaction: Any, generation: int) -> None:
        for key in self._touched:
            if transaction.get(key, db=self._tables["generations"]) is not None:  # another process may have dropped it
                self._place(transaction, key, generation)

    def _place(self, transaction: Any, key: bytes, generation: int) -> None:
        """Move a key to a generation."""
        before = transaction.get(key, db=self._tables["generations"])
        if before is not None:
            transaction.delete(bytes(before) + key, db=self._tables["order"])
        packed = GENERATION.pack(generation)
        transaction.put(key, packed, db=self._tables["generations"])
        transaction.put(packed + key, b"", db=self._tables["order"])

    def _remove(self, transaction: Any, key: bytes) -> int | None:
        """Drop an entry; the bytes that it held, or None if there was none."""
        value = transaction.get(key, db=self._tables["vectors"])
        if value is None:
            return None
        held = len(value) - CHECKSUM_BYTES + ENTRY_BYTES
        generation = bytes(transaction.get(key, db=self._tables["generations"]))
        transaction.delete(key, db=self._tables["vectors"])
        transaction.delete(key, db=self._tables["generations"])
        transaction.delete(generation + key, db=self._tables["order"])
        return held

    def _evict(self, transaction: Any, used: int, entries: int, generation: int) -> int:
        """Drop the longest unused until the bounds hold; how many were dropped."""
        before = entries
        with transaction.cursor(db=self._tables["order"]) as cursor:
            while self._over(used, entries) and cursor.first():
                held = self._remove(transaction, bytes(cursor.key())[GENERATION.size :])
                assert held is not None, "an entry in the order of age has a vector"
                used, entries = used - held, entries - 1
        self._set_totals(transaction, used, entries, generation)
        return before - entries

    def _over(self, used: int, entries: int) -> bool:
        too_many = self._max_size is not None and entries > self._max_size
        return too_many or (self._max_bytes is not None and used > self._max_bytes)


def _checksum(key: bytes, vector: bytes) -> bytes:
    return hashlib.blake2b(key + vector, digest_size=CHECKSUM_BYTES).digest()
