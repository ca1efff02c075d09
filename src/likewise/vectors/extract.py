"""Items → vectors: planned batches, worked on in threads, cached, resumed by parts, in the order given.

Shapes: N items, B items of a batch, D dimensions.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.artifacts.files import replacing
from likewise.data.corpus import Corpus
from likewise.encoders.base import Encoder
from likewise.encoders.fit import load_encoder
from likewise.errors import DataError
from likewise.types import ROLES, Float32, Int64, Progress, Role
from likewise.vectors.backends import EXACT, Computing, Settled, computing_by, settle_once, ways_for
from likewise.vectors.cache import EmbeddingCache, cache_key
from likewise.vectors.compute import Embed, TooLarge
from likewise.vectors.lanes import Lanes
from likewise.vectors.options import EmbedOptions
from likewise.vectors.plan import PlannedBatch, parts, plan_batches, sample
from likewise.vectors.precision import device_for
from likewise.vectors.survey import Fetch, survey

BATCH_TOKENS_CPU = 2048
"""A batch's widest activations then fit in a processor's cache: at 16384 tokens linear layers ran at a third of the speed."""
BATCH_TOKENS_GPU = 32768
SAMPLE_ITEMS, COSTLY_ITEMS, SAMPLE_LENGTH = 8, 4, 64
"""What a way to compute is tried on: items of all lengths, cut; fewer of those that cannot be. Little beside any real work."""
FEW_ITEMS = 4 * SAMPLE_ITEMS
"""Up to so many, trying another way on a sample would take longer than it could save."""
MANY_BATCHES = 64
"""From so many on, a faster backend makes up for the seconds that it takes to convert a model."""
AHEAD = 2
"""Batches planned for each thread: one that it works on, and one to go on with while the first is still waited for."""

Say = Callable[[str], None]
NameOf = Callable[[int], str]


def extract(
    encoder: Encoder,
    payload: Sequence[Any],
    roles: Sequence[Role] | Role = "document",
    options: EmbedOptions | None = None,
    *,
    progress: Progress | None = None,
    say: Say | None = None,
    cache: EmbeddingCache | None = None,
) -> Float32:
    """Vectors [N, D] float32 of items held in memory, in their order.

    `roles` is one for all or one for each. The encoder works on the options' device and is given back where and as it was.
    `cache` goes before `options.cache_dir`. DataError names an item whose vector is not finite, or that fits no memory, and tells
    where there is not one role for each item.
    """
    options = options or EmbedOptions()
    names = [roles] * len(payload) if isinstance(roles, str) else roles
    if len(names) != len(payload):
        raise DataError(f"There are {len(payload)} items and {len(names)} roles; give one role for each, or one for all.")
    codes = np.array([ROLES.index(role) for role in names], dtype=np.int8)

    def fetch(positions: Int64) -> Sequence[Any]:
        return [payload[position] for position in positions]

    with _in_use(encoder, options), _cache(options, cache) as open_cache:
        work = Extraction(encoder, fetch, codes, options, say=say or _silent, cache=open_cache)
        vectors = np.zeros((len(payload), encoder.dimension), dtype=np.float32)
        done = 0
        for part in work.parts:
            for batch, found in work.compute(part):
                vectors[batch.positions] = found
                done += len(batch)
                if progress is not None:
                    progress(done, work.total)
        for sentence in encoder.remarks():
            (say or _silent)(sentence)
        return vectors[work.survey.first]


def embed(draft: Draft, options: EmbedOptions, model: Artifact, corpus: Corpus) -> None:
    """The stage: every item of the corpus in its own role → `vectors.npy` [N, D] float32, and `space.json`.

    Parts are kept while it works, so that a killed stage goes on from the last whole one.
    """
    if draft.has("vectors.npy") and draft.has("space.json"):
        return
    encoder = load_encoder(model)
    with _in_use(encoder, options), _cache(options, None) as cache:
        work = Extraction(
            encoder, corpus.payload, corpus.roles, options, say=draft.say, cache=cache, name_of=lambda row: corpus.ids[row]
        )
        with draft.write("vectors.npy") as path:
            _write_vectors(path, work, draft)
        draft.write_json("space.json", work.space())
        if work.total:
            draft.say(f"{work.total:,} vectors {work.described()}.")
        for sentence in encoder.remarks():
            draft.say(sentence)


def _write_vectors(path: Path, work: Extraction, draft: Draft) -> None:
    """Every part's vectors at their places in one memory-mapped file; the file is as large as the result, memory is not."""
    folder = draft.scratch("parts")
    shape = (len(work.survey.first), work.encoder.dimension)
    if shape[0] == 0:  # an empty file cannot be mapped
        with path.open("wb") as handle:
            np.save(handle, np.zeros(shape, dtype=np.float32), allow_pickle=False)
        return
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    done = 0
    for part in work.parts:
        positions = np.concatenate([batch.positions for batch in part])
        file = folder / f"{work.name_of_part(positions)}.npy"
        if file.exists():
            vectors[positions] = np.load(file, allow_pickle=False)
            done += len(positions)
            draft.progress(done, work.total)
            continue
        found = []
        for batch, batch_vectors in work.compute(part):
            found.append(batch_vectors)
            done += len(batch)
            draft.progress(done, work.total)
        whole = np.concatenate(found)
        vectors[positions] = whole
        with replacing(file) as temporary, temporary.open("wb") as handle:
            np.save(handle, whole, allow_pickle=False)
    copies = np.flatnonzero(work.survey.first != np.arange(shape[0]))
    for some in np.array_split(copies, 1 + len(copies) // 8192):
        vectors[some] = vectors[work.survey.first[some]]
    vectors.flush()


class Extraction:
    """The work on one list of items: surveyed, planned, its precision settled; then computed part by part."""

    def __init__(
        self,
        encoder: Encoder,
        fetch: Fetch,
        roles: NDArray[np.int8],
        options: EmbedOptions,
        *,
        say: Say,
        cache: EmbeddingCache | None = None,
        name_of: NameOf = lambda position: f"number {position}",
    ) -> None:
        self.encoder = encoder
        self._fetch = fetch
        self._cache = cache
        self._say = say
        self._name_of = name_of
        self.survey = survey(encoder, fetch, roles)
        self.batches = self._plan(roles, options)
        self.parts = list(parts(self.batches, options.part_items))
        self.total = sum(len(batch) for batch in self.batches)
        free = options.precision == options.backend == "auto"
        many = len(self.batches) >= MANY_BATCHES
        self._few = free and self.total <= FEW_ITEMS
        plain = self._few and encoder.runtime is None
        self._ways = [EXACT] if plain else ways_for(encoder, options.precision, options.backend, much=many)
        self._computing: Computing | None = None
        self._lanes = Lanes.of(encoder.device, self._ways[0], len(self.batches), options.workers)
        self.halved = 0

    @cached_property
    def settled(self) -> Settled:
        """The way to compute: the first that agrees with float32 on a sample of the items."""
        if not self.batches or self._few:
            return Settled(self._ways[0], None)
        items = hashlib.sha256(b"".join(self.survey.digests)).digest()
        lanes = self._lanes.threads
        self._computing, found = settle_once(self.encoder, self._sample, self._ways, self._say, self._cache, items, lanes)
        return found

    @cached_property
    def keys(self) -> dict[Role, str]:
        """The encoder's key for each role; its weights are read for them, so only where they are wanted."""
        way = self.settled.way
        return {role: self.encoder.key(role, way.precision, way.version) for role in ROLES}

    @cached_property
    def _embed(self) -> Embed:
        way = self.settled.way
        return Embed(self._computing or computing_by(self.encoder, way, self._sample, self._lanes.threads))

    def _sample(self) -> Any:
        longest = self._fetch(self.batches[0].positions[:1])
        costly = self.encoder.lengths(longest, self.batches[0].role, SAMPLE_LENGTH).max() > SAMPLE_LENGTH
        tried = sample(self.batches, COSTLY_ITEMS if costly else SAMPLE_ITEMS)
        return self.encoder.prepare(self._fetch(tried.positions), tried.role, SAMPLE_LENGTH)

    def _plan(self, roles: NDArray[np.int8], options: EmbedOptions) -> list[PlannedBatch]:
        default = BATCH_TOKENS_CPU if self.encoder.device.type == "cpu" else BATCH_TOKENS_GPU
        unique = self.survey.unique()
        batches: list[PlannedBatch] = []
        for code, role in enumerate(ROLES):
            positions = unique[roles[unique] == code]
            lengths = self.survey.lengths[positions]
            tokens = options.batch_tokens or default
            batches += plan_batches(positions, lengths, role, tokens=tokens, items=options.batch_items)
        return batches

    def compute(self, batches: Sequence[PlannedBatch]) -> Iterator[tuple[PlannedBatch, Float32]]:
        """Each batch with its vectors [B, D]: from the cache if all of it is there, else computed whole."""
        known = [self._cached(batch) for batch in batches]
        missing = [batch for batch, vectors in zip(batches, known, strict=True) if vectors is None]
        with closing(self._computed(missing)) as computed:
            for batch, vectors in zip(batches, known, strict=True):
                yield batch, vectors if vectors is not None else next(computed)

    def name_of_part(self, positions: Int64) -> str:
        """Names the vectors of these items in the settled way; an earlier attempt may have planned, or computed, otherwise."""
        way = self.settled.way
        return hashlib.sha256(f"{way.precision} {way.version}".encode() + positions.tobytes()).hexdigest()[:32]

    def _computed(self, batches: Sequence[PlannedBatch]) -> Generator[Float32, None, None]:
        """Vectors of each batch; threads fetch, prepare and compute whole batches, each on its own."""
        embed, turn = self._embed, self._lanes.turn()

        def work(batch: PlannedBatch) -> Float32:
            payload = self._fetch(batch.positions)
            prepared = self.encoder.prepare(payload, batch.role)
            try:
                with turn:
                    return embed(payload, batch.role, prepared)
            except TooLarge as error:
                name = self._name_of(int(batch.positions[error.place]))
                raise DataError(f'Item "{name}" {error.reason}; cut or shrink it, or set [embed] device = "cpu".') from error

        with self._lanes.pool() as threads:
            upcoming = iter(batches)
            ahead = deque(threads.submit(work, batch) for batch in islice(upcoming, AHEAD * self._lanes.threads))
            for batch in batches:
                vectors = ahead.popleft().result()
                ahead.extend(threads.submit(work, following) for following in islice(upcoming, 1))
                if embed.too_large and not self.halved:
                    large = embed.too_large[0]
                    self._say(f"A batch of {large} items did not fit in memory; such batches are computed in halves.")
                self.halved = embed.halved
                self._check(batch, vectors)
                if self._cache is not None:
                    self._cache.put_many(self._cache_keys(batch), vectors)
                yield vectors

    def _cached(self, batch: PlannedBatch) -> Float32 | None:
        if self._cache is None:
            return None
        found = self._cache.get_many(self._cache_keys(batch), self.encoder.dimension)
        whole = [vector for vector in found if vector is not None]
        return np.stack(whole) if len(whole) == len(batch) else None

    def _cache_keys(self, batch: PlannedBatch) -> list[bytes]:
        return [cache_key(self.survey.digests[position], self.keys[batch.role]) for position in batch.positions]

    def _check(self, batch: PlannedBatch, vectors: Float32) -> None:
        """DataError that names the first item whose vector is not finite."""
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            name = self._name_of(int(batch.positions[bad[0]]))
            others = f" ({len(bad)} such items in its batch)" if len(bad) > 1 else ""
            raise DataError(
                f'Item "{name}": its vector in {self.settled.way} is not finite{others}; '
                'set [embed] precision = "float32", or look at the item and at the weights of the encoder.'
            )

    def described(self) -> str:
        """In which way vectors are computed, for people."""
        told = f"in {self.settled.way} on {self.encoder.device}"
        return told if self.settled.cosine is None else f"{told}, least cosine to float32 on a sample {self.settled.cosine:.5f}"

    def space(self) -> dict[str, Any]:
        """What is said about the vectors beside them."""
        return {
            "space": self.encoder.space,
            "dimension": self.encoder.dimension,
            "distance": "cosine",
            "keys": dict(self.keys),
            "precision": self.settled.way.precision,
            "backend": self.settled.way.version,
            "cosine_to_float32": None if self.settled.cosine is None else round(self.settled.cosine, 6),
            "halved_batches": self.halved,
        }


@contextmanager
def _in_use(encoder: Encoder, options: EmbedOptions) -> Iterator[None]:
    """The encoder in inference mode on the device; afterwards where and as it was."""
    device, training = encoder.device, {module: module.training for module in encoder.modules()}
    wanted = device_for(options.device)
    try:
        encoder.to(wanted).eval()
        yield
    finally:
        encoder.to(device).train(training[encoder])
        for module, mode in training.items():  # a frozen part is in inference mode while the rest is trained
            module.training = mode


@contextmanager
def _cache(options: EmbedOptions, given: EmbeddingCache | None) -> Iterator[EmbeddingCache | None]:
    if given is not None or options.cache_dir is None:
        yield given
        return
    with closing(EmbeddingCache(options.cache_dir, max_size=None, max_bytes=options.cache_bytes)) as cache:
        yield cache


def _silent(sentence: str) -> None:
    """Say nothing."""
