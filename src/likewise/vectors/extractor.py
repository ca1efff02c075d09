"""Vectors of pictures in one object, for programs that hold pictures themselves: `EmbeddingExtractor`.

It works by the encoders and the cache that runs use: encoded bytes and arrays have the same keys here and there, and each finds
what the other has cached.

Shapes: N pictures, H × W pixels of one, B pictures of a batch, h × w pixels as the model takes them, D dimensions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from likewise.data.pixels import from_array
from likewise.encoders.image import ImageEncoder
from likewise.encoders.options import ImageEncoderOptions
from likewise.errors import DataError, LikewiseError, RecipeError
from likewise.types import Float32
from likewise.vectors.backends import Settled, computing_by, settle_once, ways_for
from likewise.vectors.cache import EmbeddingCache, cache_key, item_digest, one_vector
from likewise.vectors.compute import Embed, TooLarge
from likewise.vectors.daemons import daemon_threads
from likewise.vectors.extraction_config import ExtractionConfig
from likewise.vectors.extraction_stats import ExtractionStats
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
FREE_SHARE = 0.5  # of the free memory that a batch may take
BYTES_PER_PIXEL = 4 * 3 * 24  # of a picture as the model takes it, and of what it makes of it on the way: a generous guess

Encoded = bytes | bytearray | memoryview
Picture = NDArray[Any] | Image.Image | Encoded

log = logging.getLogger(__name__)


class ExtractionTimeout(LikewiseError):
    """A batch that took longer than `timeout_seconds`; what was computed is in the cache, where there is one."""


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
        self._frames_cut = 0  # that were told of
        self._stats = ExtractionStats()
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
                encoder = ImageEncoder(ImageEncoderOptions(model=name, pixels=self.config.pixels))
            except DataError as error:
                raise DataError(
                    f"{error.reason.replace('[encoder] model', 'the model')}; give the folder of a model as model_path."
                ) from error
            device = "cuda" if self.config.use_gpu and torch.cuda.is_available() else "cpu"
            self._encoder = encoder.to(device).eval()
            self._work, self._frames_cut = None, 0
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

    def extract_embedding(self, image: Picture) -> Float32:
        """The vector [D] of one picture; errors as of `batch_extract`."""
        vector: Float32 = self.batch_extract([image])[0]
        return vector

    def batch_extract(self, images: Iterable[Picture]) -> Float32:
        """Unit vectors [N, D] float32, in the order given; equal pictures are computed once.

        Pictures are arrays [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], PIL images, or encoded bytes, of any mixture; what becomes
        of their pixels is told in `likewise.data.pixels`. DataError, which names its place, for one that is none of these or
        cannot be had exactly; rows of NaN for vectors that the policy rejects, cached ones too; ExtractionTimeout.
        """
        colored = isinstance(images, np.ndarray) and images.ndim == 3 and images.shape[2] in (1, 3, 4)
        if colored or isinstance(images, (str, Encoded, Image.Image)):  # its rows or bytes would be taken for pictures
            raise DataError("batch_extract was given one picture; give a list of them, or call extract_embedding.")
        work = self._working()
        pictures = [self._pixels(work.encoder, image, number) for number, image in enumerate(images)]
        keys = [cache_key(item_digest(picture), work.key) for picture in pictures]
        first: dict[bytes, int] = {}
        for number, key in enumerate(keys):
            first.setdefault(key, number)
        self._update_stats(pictures=len(pictures), duplicates=len(pictures) - len(first))
        vectors = np.empty((len(pictures), work.encoder.dimension), dtype=np.float32)
        for batch, found in self._batches(work, pictures, keys, list(first.values())):
            vectors[batch] = found
        self._tell_cut(work.encoder)
        every: Float32 = vectors[[first[key] for key in keys]]
        return every

    def validate_embedding_quality(self, embedding: ArrayLike) -> float:
        """The quality of one vector [D] in [0, 1]: the least of its sub-scores `finite`, `dimension`, `norm`, `spread` and, after
        `use_reference`, `drift`; `likewise.vectors.quality` has the formulas. DataError for what is no vector."""
        return float(quality_of(one_vector(embedding)[None], self._opened().dimension, self._reference).scores[0])

    def use_reference(self, embeddings: ArrayLike) -> None:
        """Compare the quality of new vectors with these [R, D] from now on, of any length but zero; DataError for others."""
        self._reference = Reference.given(embeddings, self._opened().dimension, "The reference")

    # What was done

    def get_extraction_stats(self) -> dict[str, int]:
        """Counts: pictures asked for, computed, duplicates, cache hits; batches, those halved; low quality, rejected."""
        with self._lock:
            return self._stats.counts()

    def get_performance_metrics(self) -> dict[str, float | None]:
        """Pictures per second of the model's time, milliseconds per picture at p50, p95 and p99 of the batches, the share that
        the cache answered, and the memory of the process and of the GPU in bytes: all measured, None where nothing was yet."""
        with self._lock:
            return self._stats.metrics()

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
        """Run so many blank pictures through the model: neither cached nor counted. RecipeError for fewer than one."""
        if num_warmup_images < 1:
            raise RecipeError(f"warmup(num_warmup_images={num_warmup_images}): give at least 1.")
        work = self._working()
        with self._lock:
            work.embed.forward(torch.zeros(num_warmup_images, 3, *work.encoder.processing.out))

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

    def _pixels(self, encoder: ImageEncoder, image: Any, number: int) -> Any:
        """What the model is given of a picture, and what names it in the cache: its encoded bytes, or its pixels."""
        if self.config.enable_preprocessing:
            return bytes(image) if isinstance(image, Encoded) else from_array(image, f"picture {number}")
        wanted = (*encoder.processing.out, 3)
        if not isinstance(image, np.ndarray) or image.shape != wanted or image.dtype != np.float32:
            told = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else f"a {type(image).__name__}"
            raise DataError(
                f"picture {number} ({told}) is not prepared for the model, which takes float32 {list(wanted)}; "
                "set enable_preprocessing=True, or prepare it."
            )
        if not np.isfinite(image).all():
            raise DataError(f"picture {number} has values that are not finite numbers; fill them in, or leave it out.")
        return image

    def _batches(
        self, work: _Work, pictures: Sequence[Any], keys: Sequence[bytes], unique: Sequence[int]
    ) -> Iterator[tuple[Sequence[int], Float32]]:
        """Positions of a batch, and its vectors; a batch is found whole in the cache, or is computed whole."""
        size = self._adaptive_batch_size()
        plan = [unique[start : start + size] for start in range(0, len(unique), size)]
        with self._lock:
            cache = self._open_cache()
            known = [self._cached(work, cache, [keys[n] for n in batch]) for batch in plan]
        missing = [batch for batch, found in zip(plan, known, strict=True) if found is None]
        with closing(self._batch_extract_uncached(work, cache, pictures, keys, missing)) as computed:
            for batch, found in zip(plan, known, strict=True):
                if found is not None:
                    self._judge(work, found, batch)
                    self._update_stats(hits=len(batch))
                yield batch, next(computed) if found is None else found

    @staticmethod
    def _cached(work: _Work, cache: EmbeddingCache | None, keys: Sequence[bytes]) -> Float32 | None:
        if cache is None:
            return None
        found = cache.get_many(keys, work.encoder.dimension)
        whole = [vector for vector in found if vector is not None]
        return np.stack(whole) if len(whole) == len(keys) else None

    def _batch_extract_uncached(
        self,
        work: _Work,
        cache: EmbeddingCache | None,
        pictures: Sequence[Any],
        keys: Sequence[bytes],
        plan: Sequence[Sequence[int]],
    ) -> Generator[Float32, None, None]:
        """The vectors of each batch [B, D], cached; batches are prepared ahead in threads."""
        with daemon_threads(self.config.max_workers, "likewise-images") as submit:
            ahead: deque[list[Future[Float32]]] = deque()
            upcoming = iter(plan)
            for batch in plan:
                while len(ahead) <= self.config.prefetch_factor and (following := next(upcoming, None)) is not None:
                    ahead.append([submit(self._prepared, work.encoder, pictures[n], n) for n in following])
                began = time.perf_counter()
                pixels = self._parallel_preprocess(ahead.popleft(), began)
                waited = time.perf_counter() - began
                with self._lock:
                    began = time.perf_counter()  # other threads' batches do not count
                    before = work.embed.halved
                    vectors = self._computed(work, [pictures[n] for n in batch], pixels, batch)
                    halved = work.embed.halved - before
                    seconds = waited + time.perf_counter() - began
                self._update_stats(computed=len(batch), batches=1, halved=halved, seconds=seconds)
                self._judge(work, vectors, batch)
                finite = np.asarray(np.isfinite(vectors).all(axis=1))  # others, once cached, would never be computed again
                if cache is not None and finite.any():
                    with self._lock:
                        cache.put_many([keys[n] for n, kept in zip(batch, finite, strict=True) if kept], vectors[finite])
                if seconds > self.config.timeout_seconds:
                    raise self._timeout(seconds)
                yield vectors

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
                prepared.append(future.result(timeout=max(0.0, min(left, threading.TIMEOUT_MAX))))
            except TimeoutError:
                raise self._timeout(time.perf_counter() - began) from None
        seconds = time.perf_counter() - began
        if seconds > self.config.timeout_seconds:
            raise self._timeout(seconds)
        pixels = torch.from_numpy(np.stack(prepared))
        return pixels.pin_memory() if self.config.pin_memory and torch.cuda.is_available() else pixels

    def _prepared(self, encoder: ImageEncoder, picture: Any, number: int) -> Float32:
        """[3, h, w] of one picture."""
        if not self.config.enable_preprocessing:
            return np.ascontiguousarray(picture.transpose(2, 0, 1))
        try:
            return encoder.ready(picture)
        except DataError as error:
            told = f"picture {number}{str(error).removeprefix('a picture')}"
            if isinstance(error.__cause__, DataError):  # of its window
                told = f"{told.removesuffix('.')}, in ExtractionConfig(pixels=PixelOptions(…))."
            raise DataError(told) from error

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
                notes = Path(self.config.cache_dir) / "ways"  # beside the vectors: not to be counted, nor evicted, with them
                with EmbeddingCache(notes) if self.config.cache_embeddings else nullcontext() as known:
                    computing, settled = settle_once(encoder, lambda: noise, ways, log.warning, known, b"pictures of noise")
                way = settled.way
                embed = Embed(computing or computing_by(encoder, way, lambda: noise))
                key = encoder.key("document", way.precision, way.version)
                key = key if self.config.enable_preprocessing else f"{key}-as-given"
                self._work = _Work(encoder, settled, embed, key)
                log.info("computed in %s, least cosine to float32 %s", way, settled.cosine)
            return self._work

    def _judge(self, work: _Work, vectors: Float32, batch: Sequence[int]) -> None:
        """Tell the vectors [B, D] of low quality; those rejected become NaN."""
        if self.config.quality_policy == "off":
            return
        rejects = self.config.quality_policy == "reject"
        found: Quality = quality_of(vectors, work.encoder.dimension, self._reference)
        low = found.scores < self.config.quality_threshold
        for place in np.flatnonzero(low).tolist():
            told = f"picture {batch[place]} has a vector of quality {found.scores[place]:.2f} ({found.worst(place)})"
            log.warning("%s%s", told, ", rejected" if rejects else "")
        self._update_stats(low_quality=int(low.sum()), rejected=int(low.sum()) if rejects else 0)
        if rejects:
            vectors[low] = np.nan

    def _tell_cut(self, encoder: ImageEncoder) -> None:
        """Log what the window has cut off, where that is more than before."""
        with self._lock:
            before, self._frames_cut = self._frames_cut, encoder.frames_cut
            if encoder.frames_cut > before:
                log.warning(" ".join(encoder.remarks()))

    def _timeout(self, seconds: float) -> ExtractionTimeout:
        kept = " What was computed is in the cache." if self.config.cache_embeddings else ""
        return ExtractionTimeout(
            f"A batch took {seconds:.1f} s, more than timeout_seconds = {self.config.timeout_seconds:g}; raise it, or lower "
            f"batch_size = {self.config.batch_size}.{kept}"
        )

    def _update_stats(self, *, seconds: float | None = None, **counts: int) -> None:
        """Add counts, and the time of a batch of `computed` pictures."""
        with self._lock:
            self._stats.add(seconds=seconds, **counts)
