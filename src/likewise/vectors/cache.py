"""Every vector ever computed, on the local disk, shared by any number of processes.

Four tables of an LMDB environment:

    vectors      key → a checksum, then the vector in float32
    generations  key → the generation in which it was last used
    order        generation, key → nothing: who goes first when there is no room
    totals       live bytes, live entries, the present generation

A writing transaction has a generation for what was used before it, and one for what it writes. What is read is noted in memory,
and stored by the next writing transaction.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import xxhash
from numpy.typing import ArrayLike, NDArray

from likewise.data.image_refs import image_digest
from likewise.errors import DataError, RecipeError
from likewise.types import Float32
from likewise.vectors.environment import Environment

KEY_BYTES = 32
CHECKSUM_BYTES = 16
TOUCHES = 65_536
"""Uses noted in memory before they are stored without waiting for new vectors."""

TABLES = ("vectors", "generations", "order", "totals")
TOTALS = struct.Struct("<qqQ")  # live bytes, live entries, generation
GENERATION = struct.Struct(">Q")  # big-endian: LMDB's order of keys is then the order of age
ENTRY_BYTES = 3 * KEY_BYTES + 2 * GENERATION.size + CHECKSUM_BYTES
"""What an entry takes in the tables beside its vector."""


def item_digest(item: Any) -> bytes:
    """SHA-256 that names a payload: text by its UTF-8, a file by its bytes, an array by its dtype, shape and bytes.

    Any other payload names itself by a method `digest() -> bytes`: a reference to a file by what its bytes are named by.
    DataError for what cannot be named.
    """
    digest = hashlib.sha256()
    if isinstance(item, str):
        digest.update(b"text\0" + item.encode("utf-8", "surrogatepass"))
    elif isinstance(item, (bytes, bytearray, memoryview)):
        digest.update(b"digest\0" + image_digest(item))
    elif isinstance(item, np.ndarray) and item.dtype != np.object_:
        digest.update(f"array\0{item.dtype.str}\0{item.shape}\0".encode())
        digest.update(np.ascontiguousarray(item).tobytes())
    elif hasattr(item, "digest"):
        digest.update(b"digest\0" + item.digest())
    else:
        raise DataError(f"A {type(item).__name__} is no payload; give a text, encoded bytes, an array of numbers or a reference.")
    return digest.digest()


def cache_key(digest: bytes, model_version: str) -> bytes:
    """32 bytes that name a vector: of an item's digest, by an encoder's key."""
    return hashlib.blake2b(digest + model_version.encode(), digest_size=KEY_BYTES).digest()


def one_vector(embedding: ArrayLike) -> NDArray[Any]:
    """What is given as a vector [D] of numbers; DataError for anything else."""
    vector = np.asarray(embedding)
    if vector.dtype.kind not in "fiu" or vector.ndim != 1 or not vector.size:
        raise DataError(f"An embedding of {vector.dtype} {list(vector.shape)} is no vector; give [D] numbers.")
    return vector


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
    RecipeError for a bound below 1; DataError for a folder that cannot be written, DamagedArtifact for one that is no cache.
    """

    def __init__(
        self, cache_dir: str | Path = "./cache/embeddings", max_size: int | None = 10_000, max_bytes: int | None = None
    ) -> None:
        for name, bound in (("max_size", max_size), ("max_bytes", max_bytes)):
            if bound is not None and bound < 1:
                raise RecipeError(f"EmbeddingCache({name}={bound}): give at least 1, or None for no bound.")
        self._environment = Environment.open(Path(cache_dir), TABLES)
        self._tables = self._environment.tables
        self._max_size = max_size
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # of what is noted in memory
        self._touched: dict[bytes, None] = {}
        self._hits = self._misses = self._damaged = self._evicted = 0
        self._closed = False

    def get(self, image_data: Any, model_version: str) -> Float32 | None:
        """The vector [D] of an item (any payload, see `item_digest`) by a model version, or None."""
        return self.get_many([self._get_cache_key(image_data, model_version)])[0]

    def put(self, image_data: Any, model_version: str, embedding: ArrayLike) -> None:
        """Keep the vector [D] of an item; stored as float32. DataError for what is no vector of numbers."""
        vector = one_vector(embedding).astype(np.float32)
        self.put_many([self._get_cache_key(image_data, model_version)], vector[None])

    def get_many(self, keys: Sequence[bytes], dimension: int | None = None) -> list[Float32 | None]:
        """The vector of each key from `cache_key`, None where there is none, it is damaged, or it has another dimension."""

        def work(transaction: Any) -> tuple[list[Float32 | None], int]:
            get, table = transaction.get, self._tables["vectors"]
            sound: dict[int, memoryview] = {}
            damaged = 0
            for place, key in enumerate(keys):  # a value is looked at while the processor has it at hand
                value = get(key, None, table)
                if value is not None:
                    vector = value[CHECKSUM_BYTES:]
                    if value[:CHECKSUM_BYTES] == _checksum(key, vector):
                        sound[place] = vector
                    else:
                        damaged += 1
            rows: list[Float32 | None] = [None] * len(keys)
            for place, row in zip(sound, _copied(list(sound.values())), strict=True):
                rows[place] = row
            return rows, damaged

        vectors, damaged = self._environment.read(work)
        found = [vector if vector is not None and dimension in (None, len(vector)) else None for vector in vectors]
        used = [key for key, vector in zip(keys, found, strict=True) if vector is not None]
        with self._lock:
            self._touched.update(dict.fromkeys(used))
            self._hits += len(used)
            self._misses += len(keys) - len(used)
            self._damaged += damaged
            full = len(self._touched) >= TOUCHES
        if full:
            self.flush()
        return found

    def put_many(self, keys: Sequence[bytes], vectors: Float32) -> None:
        """Keep the vectors [B, D] float32 under keys from `cache_key`, in one transaction; of a key given twice, the last.

        DataError where there is not one vector for each key.
        """
        if vectors.ndim != 2 or len(vectors) != len(keys):
            raise DataError(f"{len(keys)} keys have vectors {list(vectors.shape)}; give [{len(keys)}, D], one for each key.")
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        values = {key: row.tobytes() for key, row in zip(keys, rows, strict=True)}
        touched = self._take_touched()

        def work(transaction: Any) -> int:
            used, entries, generation = self._totals(transaction)
            generation += 1
            moved = self._out_of_order(transaction, (key for key in touched if key not in values))
            for key, value in values.items():
                removed = self._remove(transaction, key)
                if removed is not None:
                    used, entries = used - removed, entries - 1
                transaction.put(key, _checksum(key, value) + value, db=self._tables["vectors"])
                used, entries = used + len(value) + ENTRY_BYTES, entries + 1
            self._place(transaction, moved, generation)
            self._place(transaction, values, generation + 1)  # what is new goes after what was used before
            return self._evict(transaction, used, entries, generation + 1)

        evicted = self._environment.write(work)
        with self._lock:
            self._evicted += evicted

    def flush(self) -> None:
        """Store which vectors were used."""
        touched = self._take_touched()
        if not touched:
            return

        def work(transaction: Any) -> None:
            used, entries, generation = self._totals(transaction)
            self._place(transaction, self._out_of_order(transaction, touched), generation + 1)
            self._set_totals(transaction, used, entries, generation + 1)

        self._environment.write(work)

    def clear(self) -> None:
        """Forget every vector, for all processes."""

        def work(transaction: Any) -> None:
            for table in self._tables.values():
                transaction.drop(table, delete=False)

        self._take_touched()
        self._environment.write(work)

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

    def _get_cache_key(self, image_data: Any, model_version: str) -> bytes:
        return cache_key(item_digest(image_data), model_version)

    def _take_touched(self) -> Iterable[bytes]:
        """The keys whose use is not stored yet; they are forgotten here."""
        with self._lock:
            touched, self._touched = self._touched, {}
        return touched

    def _totals(self, transaction: Any) -> tuple[int, int, int]:
        stored = transaction.get(b"totals", db=self._tables["totals"])
        used, entries, generation = TOTALS.unpack(stored) if stored is not None else (0, 0, 0)
        return used, entries, generation

    def _set_totals(self, transaction: Any, used: int, entries: int, generation: int) -> None:
        transaction.put(b"totals", TOTALS.pack(used, entries, generation), db=self._tables["totals"])

    def _out_of_order(self, transaction: Any, keys: Iterable[bytes]) -> list[bytes]:
        """Take keys out of the order of age; those that still have an entry, which another process may have dropped."""
        generations, order = self._tables["generations"], self._tables["order"]
        present = []
        for key in sorted(keys):  # neighbours stand on one page
            before = transaction.get(key, db=generations)
            if before is not None:
                transaction.delete(bytes(before) + key, db=order)
                present.append(key)
        return present

    def _place(self, transaction: Any, keys: Iterable[bytes], generation: int) -> None:
        """Put keys that are out of the order of age at its end."""
        packed, ordered = GENERATION.pack(generation), sorted(keys)
        with transaction.cursor(db=self._tables["generations"]) as cursor:
            cursor.putmulti([(key, packed) for key in ordered], dupdata=False)
        with transaction.cursor(db=self._tables["order"]) as cursor:
            cursor.putmulti([(packed + key, b"") for key in ordered], dupdata=False)

    def _remove(self, transaction: Any, key: bytes) -> int | None:
        """Drop an entry; the bytes that it held, or None if there was none."""
        value = transaction.get(key, db=self._tables["vectors"])
        if value is None:
            return None
        held = len(value) - CHECKSUM_BYTES + ENTRY_BYTES
        generation = transaction.get(key, db=self._tables["generations"])
        if generation is not None:  # none where the file is damaged
            transaction.delete(bytes(generation) + key, db=self._tables["order"])
            transaction.delete(key, db=self._tables["generations"])
        transaction.delete(key, db=self._tables["vectors"])
        return held

    def _evict(self, transaction: Any, used: int, entries: int, generation: int) -> int:
        """Drop the longest unused until the bounds hold; how many were dropped."""
        before = entries
        with transaction.cursor(db=self._tables["order"]) as cursor:
            while self._over(used, entries) and cursor.first():
                oldest = bytes(cursor.key())
                held = self._remove(transaction, oldest[GENERATION.size :])
                if held is None:  # an age without an entry, where the file is damaged
                    transaction.delete(oldest, db=self._tables["order"])
                else:
                    used, entries = used - held, entries - 1
        self._set_totals(transaction, used, entries, generation)
        return before - entries

    def _over(self, used: int, entries: int) -> bool:
        too_many = self._max_size is not None and entries > self._max_size
        return too_many or (self._max_bytes is not None and used > self._max_bytes)


def _checksum(key: bytes, vector: bytes | memoryview) -> bytes:
    digest = xxhash.xxh3_128(key)  # against accidents, not against people; a third of the time of SHA-256
    digest.update(vector)
    return digest.digest()


def _copied(buffers: Sequence[memoryview]) -> list[Float32]:
    """The vector in each buffer, in one block of memory."""
    block = np.frombuffer(bytearray().join(buffers), dtype="<f4").astype(np.float32, copy=False)
    ends = np.cumsum([len(buffer) // block.itemsize for buffer in buffers]).tolist()
    return [block[start:end] for start, end in zip([0, *ends], ends, strict=False)]
