"""The section [encoder]."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from likewise.options import Options


class TextEncoderOptions(Options):
    """A sentence-transformers model."""

    implementation: ClassVar[str] = "likewise.encoders.text:TextEncoder"
    paths: ClassVar[tuple[str, ...]] = ("model",)

    kind: Literal["text"] = "text"
    model: str
    """A folder, or a name on the Hugging Face hub."""
    query_prompt: str | None = None
    """Put before every query text, such as "query: "; None uses the model's own prompt for queries, "" none."""
    document_prompt: str | None = None
    """Put before every document text; None uses the model's own prompt for documents, "" none."""
    max_length: int | None = Field(None, ge=1)
    """Longest input in tokens when vectors are computed; None uses the model's own."""
    frozen_layers: int = Field(0, ge=0)
    """Keep this many transformer layers from the bottom, and the embeddings below, as they are; their backward is skipped."""
    cache_dir: str | None = None
    """Where downloaded models are kept; None uses Hugging Face's own place."""
    revision: str | None = None
    """A branch, tag or commit of the model on the hub."""


class StaticEncoderOptions(Options):
    """Token embeddings with a tokenizer of its own, learnt from the training split; runs in microseconds on a CPU."""

    implementation: ClassVar[str] = "likewise.encoders.static:StaticEncoder"

    kind: Literal["static"] = "static"
    dimension: int = Field(256, ge=2)
    """The length of a vector."""
    vocabulary: int = Field(16000, ge=300)
    """The most tokens that the tokenizer learns."""
    seed: int = 0
    """Of the random directions that token embeddings begin with (scaled by inverse document frequency)."""


class HitEncoderOptions(Options):
    """A perceptron over rows of numbers, such as the hits of a detector: Linear → LayerNorm → Tanh blocks, scaled features."""

    implementation: ClassVar[str] = "likewise.encoders.hits:HitEncoder"

    kind: Literal["hits"] = "hits"
    widths: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, min_length=1)
    """Width of each hidden layer; None is four of 1024 where there is a CUDA GPU, four of 256 elsewhere."""
    dimension: int = Field(8, ge=1)
    """The length of a vector."""
    unit_length: bool = False
    """Whether vectors are scaled to length 1 (a margin is then at most 2)."""
    seed: int = 0
    """Of the weights it begins with."""


ENCODER_KINDS: dict[str, type[Options]] = {"text": TextEncoderOptions, "static": StaticEncoderOptions, "hits": HitEncoderOptions}
