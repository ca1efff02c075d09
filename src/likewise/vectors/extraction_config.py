"""How an `EmbeddingExtractor` works: `ExtractionConfig`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from likewise.encoders.options import PixelOptions
from likewise.errors import RecipeError


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
    timeout_seconds         the longest that one batch may take: waiting for its pictures to be prepared, and the model, which is
                            not interrupted; infinity for no limit
    enable_preprocessing    resize, crop and normalise as the model wants it; without, pictures are [h, w, 3] float32 that were
    enable_mixed_precision  bfloat16 where the processor has it and pictures of noise agree with float32 (cosine ≥ 0.9999)
    prefetch_factor         batches prepared ahead of the one that the model works on
    pin_memory              hand batches to a GPU from pinned memory
    pixels                  how frames of one channel, of 16 bits or of measured values are windowed, and the page that is read
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
    pixels: PixelOptions = field(default_factory=PixelOptions)

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_workers", "prefetch_factor", "cache_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise RecipeError(f"ExtractionConfig({name}={value!r}): give a whole number from 1 on.")
        if not isinstance(self.pixels, PixelOptions):
            raise RecipeError(f"ExtractionConfig(pixels={self.pixels!r}): give a PixelOptions.")
        if not 0 <= self.quality_threshold <= 1:
            raise RecipeError(f"ExtractionConfig(quality_threshold={self.quality_threshold}): give a number from 0 to 1.")
        if not self.timeout_seconds > 0:  # NaN, too
            raise RecipeError(f"ExtractionConfig(timeout_seconds={self.timeout_seconds}): give more than 0.")
        if self.quality_policy not in ("warn", "reject", "off"):
            raise RecipeError(f'ExtractionConfig(quality_policy="{self.quality_policy}"): give "warn", "reject" or "off".')
        if self.pixels.window == "data":
            raise RecipeError('PixelOptions(window="data") is learnt by a run; give window="limits" and limits.')
        if not self.enable_preprocessing and self.pixels != PixelOptions():
            raise RecipeError("ExtractionConfig(pixels=…) has no effect with enable_preprocessing=False; leave out one of them.")
