"""Vectors of pictures in one object, for programs that hold pictures as arrays: `EmbeddingExtractor`.

It works by the encoders and the cache that runs use: encoded bytes and arrays have the same keys here and there, and each finds
what the other has cached.

Shapes: N pictures, B of a batch, D dimensions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from likewise.data.pixels import from_array
from likewise.encoders.image import ImageEncoder
from likewise.encoders.options import ImageEncoderOptions
from likewise.errors import DataError, LikewiseError, RecipeError
from likewise.types import Float32
from likewise.vectors.backends import Settled, computing_by, settle_once, ways_for
from likewise.vectors.cache import EmbeddingCache, cache_key, item_digest
from likewise.vectors.compute import Embed, TooLarge
from likewise.vectors.options import Precision
from likewise.vectors.quality import Quality, Reference, quality_of

MODELS = {
    "resnet50": "microsoft/resnet-50",
    "convnext": "facebook/convnext-tiny-224",
    "vit": "google/vit-base-patch16-224",
    "dinov2": "facebook/dinov2-small",
    "dinov3": "facebook/dinov3-vits16-pretrain-lvd1689m",
    "clip": "openai/clip-vit-base-patch32",
    "siglip": "google/siglip-base-patch16-224",
}
"""Short names of models on the Hugging Face hub; any other name is taken as it is."""
TRIED = 4  # pictures of noise on which a way to compute is tried
KEPT = 10_000  # times of batches that percentiles are taken from
FREE_SHARE = 0.5  # of the free memory that a batch may take
BYTES_PER_PIXEL = 4 * 3 * 24  # of a picture as the model takes it, and of what it makes of it on the way: a generous guess

log = logging.getLogger(__name__)


class ExtractionTimeout(LikewiseError):
    """A batch that took longer than `timeout_seconds`; what was done before is in the cache."""


@dataclass(frozen=True, slots=True)
class ExtractionConfig:
    """How an `EmbeddingExtractor` works.

    batch_size              pictures that the model is given at once, at most; less where memory is short
    max_workers             threads that decode and prepare pictures
    use_gpu                 take the GPU where there is one
    cache_embeddings        keep vectors in `cache_dir`, and look there first
    cache_bytes             the most bytes of vectors in it; those longest unused go first
    quality_threshold       vectors of a lower quality (`vectors.quality`) are told or rejected
    quality_policy          "warn" logs them, "reject" gives rows of NaN and does not cache them, "off" does not look
    timeout_seconds         the longest that one batch may take: waiting for its pictures to be prepared, and the model
    enable_preprocessing    resize, crop and normalise as the model wants it; without, pictures are [h, w, 3] float32 that were
    enable_mixed_precision  bfloat16 where the processor has it and pictures of noise agree with float32 (cosine ≥ 0.9999)
    prefetch_factor         batches prepared ahead of the one that the model works on
    pin_memory              hand batches to a GPU from pinned memory
    """

    batch_size: int = 32
    max_workers: int = 4
    use_gpu: bool = True
    cache_embeddings: bool = True
    cache_dir: str = "./cache/embeddings"
    cache_bytes: int = 10_000_000_000
    quality_threshold: float = 0.7
    quality_policy: Literal["warn", "reject", "off"] = "warn"
    timeout_seconds: float = 30.0
    enable_preprocessing: bool = True
    enable_mixed_precision: bool = True
    prefetch_factor: int = 2
    pin_memory: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_workers", "prefetch_factor", "cache_bytes"):
            if getattr(self, name) < 1:
                raise RecipeError(f"ExtractionConfig({name}={getattr(self, name)}): give at least 1.")
        if not 0 <= self.quality_threshold <= 1:
            raise RecipeError(f"ExtractionConfig(quality_threshold={self.quality_threshold}): give a number from 0 to 1.")
        if self.timeout_seconds <= 0:
            raise RecipeError(f"ExtractionConfig(timeout_seconds={self.timeout_seconds}): give more than 0.")
        if self.quality_policy not in ("warn", "reject", "off"):
            raise RecipeError(f'ExtractionConfig(quality_policy="{self.quality_policy}"): give "warn", "reject" or "off".')


@dataclass(slots=True)
class _Stats:
    """What was done since the beginning; `seconds` of the last batches, each with its pictures."""

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


@dataclass(frozen=True, slots=True)
class _Work:
    """What one call works with from its beginning to its end, whatever is loaded meanwhile: an encoder in its settled way."""

    encoder: ImageEncoder
    settled: Settled
    embed: Embed
    key: str


class EmbeddingExtractor:
    """Pictures → unit vectors by a vision model, cached on disk, checked, and counted. Safe to use from several threads.

    `model_type` is a short name (`MODELS`) or a name on the Hugging Face hub; `model_path` a folder that `save_pretrained`
    wrote, which goes first. The model is opened at first use, or by `load_model`.
    """

    def __init__(
        self, model_type: str = "resnet50", config: ExtractionConfig | None = None, model_path: str | None = None
    ) -> None:
        self.model_type = model_type
        self.config = config or ExtractionConfig()
        self.model_path = model_path
        self._encoder: ImageEncoder | None = None
        self._work: _Work | None = None
        self._optimized = False
        self._cache: EmbeddingCache | None = None
        self._reference: Reference | None = None
        self._stats = _Stats()
        self._lock = threading.RLock()

    # The model

    def load_model(self, model_path: str | None = None) -> Self:
        """Open the model, from `model_path` if it is given. DataError names it where it cannot be had."""
        with self._lock:
            if model_path is not None:
                self.model_path = model_path
            if self.model_path is not None and not Path(self.model_path).expanduser().exists():
                raise DataError(f'model_path = "{self.model_path}" does not exist; give the folder of a model, or leave it out.')
            name = self.model_path or MODELS.get(self.model_type, self.model_type)
            try:
                encoder = ImageEncoder(ImageEncoderOptions(model=name))
            except DataError as error:
                raise DataError(
                    f"{error.reason.replace('[encoder] model', 'the model')}; give the folder of a model as model_path."
                ) from error
            device = "cuda" if self.config.use_gpu and torch.cuda.is_available() else "cpu"
            self._encoder = encoder.to(device).eval()
            self._work = None
            log.info("%s on %s", name, device)
            return self

    def get_model_info(self) -> dict[str, Any]:
        """Name, dimension, size of the input, parameters, device, space, and precision and backend (None before a batch)."""
        encoder, work = self._opened(), self._work
        return {
            "model_type": self.model_type,
            "model_path": self.model_path,
            "architecture": type(encoder.model).__name__,
            "dimension": encoder.dimension,
            "input_size": list(encoder.processing.out),
            "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
            "device": str(encoder.device),
            "precision": None if work is None else work.settled.way.precision,
            "backend": None if work is None else work.settled.way.version,
            "space": encoder.space,
        }

    # Vectors

    def extract_embedding(self, image: NDArray[Any]) -> Float32:
        """The vector [D] of one picture."""
        vector: Float32 = self.batch_extract([image])[0]
        return vector

    def batch_extract(self, images: Sequence[NDArray[Any]]) -> Float32:
        """Unit vectors [N, D] float32, in the order given; equal pictures are computed once.

        Pictures are arrays [H, W] or [H, W, 3], PIL images, or encoded bytes. DataError for one that is none; rows of NaN for
        vectors that the policy rejects, cached ones too; ExtractionTimeout.
        """
        work = self._working()
        pictures = [self._pixels(image, number) for number, image in enumerate(images)]
        digests = [item_digest(picture) for picture in pictures]
        first: dict[bytes, int] = {}
        for number, digest in enumerate(digests):
            first.setdefault(digest, number)
        unique = list(first.values())
        vectors = np.empty((len(images), work.encoder.dimension), dtype=np.float32)
        hits = 0
        for batch, found, cached in self._batches(work, pictures, unique, digests):
            vectors[batch] = found
            hits += len(batch) if cached else 0
        self._update_stats(pictures=len(images), duplicates=len(images) - len(unique), hits=hits)
        every: Float32 = vectors[[first[digest] for digest in digests]]
        return every

    def validate_embedding_quality(self, embedding: NDArray[np.floating]) -> float:
        """The quality of one vector in [0, 1]: the least of its sub-scores `finite`, `dimension`, `norm`, `spread` and, after
        `use_reference`, `drift`; `likewise.vectors.quality` has the formulas."""
        dimension = self._opened().dimension
        return float(quality_of(np.asarray(embedding)[None], dimension, self._reference).scores[0])

    def use_reference(self, embeddings: NDArray[np.floating]) -> None:
        """Compare the quality of new vectors with these [R, D] from now on."""
        self._reference = Reference.of(embeddings)

    # What was done

    def get_extraction_stats(self) -> dict[str, int]:
        """Counts: pictures asked for, computed, duplicates, cache hits; batches, those halved; low quality, rejected."""
        with self._lock:
            stats = self._stats
            names = ("pictures", "computed", "duplicates", "hits", "batches", "halved", "low_quality", "rejected")
            return {name: int(getattr(stats, name)) for name in names}

    def get_performance_metrics(self) -> dict[str, float | None]:
        """Pictures per second of the model's time, milliseconds per picture at p50, p95 and p99 of the batches, the share that
        the cache answered, and the memory of the process and of the GPU in bytes: all measured, None where nothing was yet."""
        with self._lock:
            stats = self._stats
            each = np.array([1000 * seconds / count for seconds, count in stats.latencies])
            asked = stats.pictures - stats.duplicates
            gpu = float(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None
            return {
                "throughput": stats.computed / stats.busy if stats.busy else None,
                **{f"p{share}_ms": float(np.percentile(each, share)) if len(each) else None for share in (50, 95, 99)},
                "cache_hit_rate": stats.hits / asked if asked else None,
                "memory_bytes": float(psutil.Process().memory_info().rss),
                "gpu_memory_bytes": gpu,
            }

    # The cache

    def clear_cache(self) -> None:
        """Forget the vectors in the cache."""
        with self._lock:
            cache = self._open_cache()
            if cache is not None:
                cache.clear()

    def close(self) -> None:
        """Give the cache back."""
        with self._lock:
            if self._cache is not None:
                self._cache.close()
                self._cache = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # Speed

    def optimize_for_inference(self) -> Self:
        """Take the fastest way whose vectors agree with float32: by OpenVINO where it is installed, which takes some seconds.

        Vectors that were cached before it stay, under their own key.
        """
        with self._lock:
            if not self._optimized:
                self._optimized = True
                self._work = None
            self._working()
        return self

    def enable_performance_optimizations(self) -> Self:
        """Everything that makes later calls faster: the fastest way to compute, the cache opened, the model warmed up."""
        with self._lock:
            self._open_cache()
        self.optimize_for_inference()
        self.warmup()
        return self

    def warmup(self, num_warmup_images: int = 5) -> None:
        """Run so many blank pictures through the model: neither cached nor counted."""
        work = self._working()
        with self._lock:
            work.embed.forward(torch.zeros(max(1, num_warmup_images), 3, *work.encoder.processing.out))

    # Inside

    def _opened(self) -> ImageEncoder:
        with self._lock:
            if self._encoder is None:
                self.load_model()
            assert self._encoder is not None
            return self._encoder

    def _open_cache(self) -> EmbeddingCache | None:
        if self._cache is None and self.config.cache_embeddings:
            self._cache = EmbeddingCache(self.config.cache_dir, max_size=None, max_bytes=self.config.cache_bytes)
        return self._cache

    def _pixels(self, image: Any, number: int) -> Any:
        """What the model is given of a picture, and what names it in the cache: its encoded bytes, or its pixels."""
        if isinstance(image, bytes):
            return image
        return from_array(image, f"picture {number}") if self.config.enable_preprocessing else np.asarray(image)

    def _batches(
        self, work: _Work, pictures: Sequence[Any], unique: Sequence[int], digests: Sequence[bytes]
    ) -> Iterator[tuple[list[int], Float32, bool]]:
        """Positions of a batch, its vectors, and whether the cache had them; a batch is computed whole, or not at all."""
        size = self._adaptive_batch_size()
        plan = [list(unique[start : start + size]) for start in range(0, len(unique), size)]
        with self._lock:
            cache = self._open_cache()
            known = [self._cached(work, cache, [cache_key(digests[n], work.key) for n in batch]) for batch in plan]
        missing = [batch for batch, found in zip(plan, known, strict=True) if found is None]
        with closing(self._batch_extract_uncached(work, pictures, missing)) as computed:
            for batch, found in zip(plan, known, strict=True):
                if found is not None:
                    self._sound(found, batch)
                    yield batch, found, True
                    continue
                vectors, sound = next(computed)
                if cache is not None and sound.any():
                    keys = [cache_key(digests[n], work.key) for n, kept in zip(batch, sound, strict=True) if kept]
                    with self._lock:
                        cache.put_many(keys, vectors[sound])
                yield batch, vectors, False

    @staticmethod
    def _cached(work: _Work, cache: EmbeddingCache | None, keys: Sequence[bytes]) -> Float32 | None:
        if cache is None:
            return None
        found = cache.get_many(keys, work.encoder.dimension)
        whole = [vector for vector in found if vector is not None]
        return np.stack(whole) if len(whole) == len(keys) else None

    def _batch_extract_uncached(
        self, work: _Work, pictures: Sequence[Any], plan: Sequence[Sequence[int]]
    ) -> Generator[tuple[Float32, NDArray[np.bool_]], None, None]:
        """The vectors of each batch [B, D], and which of them are sound; batches are prepared ahead in threads."""
        threads = ThreadPoolExecutor(self.config.max_workers, thread_name_prefix="likewise-images")
        try:
            ahead: deque[list[Future[Float32]]] = deque()
            upcoming = iter(plan)
            for batch in plan:
                while len(ahead) <= self.config.prefetch_factor and (following := next(upcoming, None)) is not None:
                    ahead.append([threads.submit(self._prepared, work.encoder, pictures[number]) for number in following])
                began = time.perf_counter()
                pixels = self._parallel_preprocess(ahead.popleft(), began)
                waited = time.perf_counter() - began
                with self._lock:
                    began = time.perf_counter()  # other threads' batches do not count
                    before = work.embed.halved
                    vectors = self._computed(work, [pictures[number] for number in batch], pixels, batch)
                    halved = work.embed.halved - before
                    seconds = waited + time.perf_counter() - began
                if seconds > self.config.timeout_seconds:
                    raise self._timeout(seconds)
                sound = self._sound(vectors, batch)
                self._update_stats(computed=len(batch), batches=1, halved=halved, seconds=seconds)
                yield vectors, sound
        finally:
            threads.shutdown(cancel_futures=True)

    @staticmethod
    def _computed(work: _Work, pictures: Sequence[Any], pixels: Tensor, batch: Sequence[int]) -> Float32:
        try:
            return work.embed(pictures, "document", pixels)
        except TooLarge as error:
            raise DataError(f"picture {batch[error.place]} {error.reason}; take a smaller model, or use_gpu=False.") from error

    def _parallel_preprocess(self, waiting: Sequence[Future[Float32]], began: float) -> Tensor:
        """[B, 3, h, w] of pictures that threads prepare; ExtractionTimeout where that takes too long."""
        prepared = []
        for future in waiting:
            left = self.config.timeout_seconds - (time.perf_counter() - began)
            try:
                prepared.append(future.result(timeout=max(0.0, left)))
            except TimeoutError:
                raise self._timeout(time.perf_counter() - began) from None
        pixels = torch.from_numpy(np.stack(prepared))
        return pixels.pin_memory() if self.config.pin_memory and torch.cuda.is_available() else pixels

    def _prepared(self, encoder: ImageEncoder, picture: Any) -> Float32:
        """[3, h, w] of one picture."""
        if self.config.enable_preprocessing:
            return encoder.ready(picture)
        wanted = (*encoder.processing.out, 3)
        given = np.asarray(picture)
        if given.shape != wanted or given.dtype != np.float32:
            raise DataError(
                f"A picture of {given.dtype} {given.shape} is not prepared for the model, which takes float32 {wanted}; "
                "set enable_preprocessing=True, or prepare it."
            )
        return np.ascontiguousarray(given.transpose(2, 0, 1))

    def _adaptive_batch_size(self) -> int:
        """The configured size, or as many as half of the free memory holds; a batch that fits even so not is halved later."""
        encoder = self._opened()
        height, width = encoder.processing.out
        free = torch.cuda.mem_get_info()[0] if encoder.device.type == "cuda" else psutil.virtual_memory().available
        return max(1, min(self.config.batch_size, int(FREE_SHARE * free) // (height * width * BYTES_PER_PIXEL)))

    def _working(self) -> _Work:
        """The encoder in the first way to compute that agrees with float32 on pictures of noise, whatever pictures come."""
        with self._lock:
            if self._work is None:
                encoder = self._opened()
                noise = torch.randn(TRIED, 3, *encoder.processing.out, generator=torch.Generator().manual_seed(0))
                precision: Precision = "auto" if self.config.enable_mixed_precision else "float32"
                ways = ways_for(encoder, precision, "auto", much=self._optimized)
                cache = self._open_cache()
                computing, settled = settle_once(encoder, lambda: noise, ways, log.warning, cache, b"pictures of noise")
                way = settled.way
                embed = Embed(computing or computing_by(encoder, way, lambda: noise))
                key = encoder.key("document", way.precision, way.version)
                key = key if self.config.enable_preprocessing else f"{key}-as-given"
                self._work = _Work(encoder, settled, embed, key)
                log.info("computed in %s, least cosine to float32 %s", way, settled.cosine)
            return self._work

    def _sound(self, vectors: Float32, batch: Sequence[int]) -> NDArray[np.bool_]:
        """Which vectors [B] may be kept; those rejected become NaN."""
        if self.config.quality_policy == "off":
            return np.ones(len(vectors), dtype=np.bool_)
        found: Quality = quality_of(vectors, self._opened().dimension, self._reference)
        low = found.scores < self.config.quality_threshold
        for place in np.flatnonzero(low).tolist():
            told = f"picture {batch[place]} has a vector of quality {found.scores[place]:.2f} ({found.worst(place)})"
            log.warning("%s%s", told, ", rejected" if self.config.quality_policy == "reject" else "")
        rejects = self.config.quality_policy == "reject"
        self._update_stats(low_quality=int(low.sum()), rejected=int(low.sum()) if rejects else 0)
        if not rejects:
            return np.ones(len(vectors), dtype=np.bool_)
        vectors[low] = np.nan
        return ~low

    def _timeout(self, seconds: float) -> ExtractionTimeout:
        return ExtractionTimeout(
            f"A batch took {seconds:.1f} s, more than timeout_seconds = {self.config.timeout_seconds:g}; raise it, or lower "
            f"batch_size = {self.config.batch_size}. What was done before is in the cache."
        )

    def _update_stats(self, *, seconds: float | None = None, **counts: int) -> None:
        """Add counts, and the time of a batch of `computed` pictures."""
        with self._lock:
            for name, count in counts.items():
                setattr(self._stats, name, getattr(self._stats, name) + count)
            if seconds is not None:
                self._stats.busy += seconds
                self._stats.latencies.append((seconds, counts["computed"]))
