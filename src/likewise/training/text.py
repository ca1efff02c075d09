"""The presets of EmbeddingBase: what each kind of training overrides."""

from __future__ import annotations

from likewise.training.base import EmbeddingBase


class TextEmbedding(EmbeddingBase):
    """Texts: batches as planned (each text once, known positives masked), one encoder for both roles."""
