"""The section [embed]."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likewise.options import Options

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Backend = Literal["auto", "torch", "compiled", "openvino"]


class EmbedOptions(Options):
    """How items become vectors."""

    batch_tokens: int | None = Field(None, ge=1)
    """A planned batch holds at most this many tokens, padding included; None takes 2048 on a CPU, whose cache then holds a batch,
    and 32768 on a GPU."""
    batch_items: int = Field(256, ge=1)
    """A planned batch holds at most this many items."""
    precision: Precision = "auto"
    """"auto" uses bfloat16 where the processor has it and a first sample agrees with float32 (cosine ≥ 0.9999); else float32."""
    backend: Backend = "auto"
    """What computes: "torch" as it is, "compiled" by torch.compile (a minute at first; needs a C++ compiler on a CPU), or
    "openvino" on a CPU (the extra openvino). "auto" takes OpenVINO where it is installed, the work is worth the seconds that
    converting the model takes, and a first sample agrees with float32; else torch."""
    device: Device = "auto"
    """"auto" takes the GPU where there is one."""
    workers: int | None = Field(None, ge=1)
    """Threads that work on batches, each on its own: on a CPU they read, prepare and compute them, sharing torch's threads; on a
    GPU, or compiled, they prepare ahead and take turns to compute. None takes one per processor."""
    cache_dir: str | None = None
    """A folder that keeps every vector ever computed, shared by runs; None keeps none."""
    cache_bytes: int = Field(10_000_000_000, ge=1_000_000)
    """The most bytes of live vectors in the cache; the longest unused go first."""
    part_items: int = Field(2048, ge=1)
    """Items per part of the work that is written at once: a killed run goes on from the last whole part."""
