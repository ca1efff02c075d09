"""Token embeddings with a tokenizer of its own, trained from nothing: a text's vector is the mean of its tokens' vectors.

Shapes: V tokens of the vocabulary, B texts, D dimensions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from likewise.encoders.base import Encoder
from likewise.encoders.options import StaticEncoderOptions
from likewise.errors import DataError
from likewise.options import Options
from likewise.types import Float32, Int64, Items, Prepared, Role

UNKNOWN = "[UNK]"
WORD_START = "▁"
BATCH = 1024
"""Texts counted at once."""


class StaticEncoder(Encoder):
    """A `SentenceTransformer` of StaticEmbedding and Normalize modules; `fit` makes it, after that it trains like any other.

    It begins as random directions scaled by inverse document frequency: the cosine of two texts is then, up to the noise of
    a random projection (Johnson and Lindenstrauss 1984: a standard deviation of D**-0.5), that of their TF-IDF vectors.
    """

    def __init__(self, options: StaticEncoderOptions, model: SentenceTransformer | None = None) -> None:
        super().__init__()
        self.options: StaticEncoderOptions = options
        self.model = model

    def fit(self, shards: Iterable[Items]) -> Self:
        """Learn a tokenizer and the frequencies of its tokens from the payloads. DataError where they hold no word."""
        texts = [text for shard in shards for text in shard.payload]
        tokenizer = train_tokenizer(texts, self.options.vocabulary)
        frequencies = document_frequencies(tokenizer, texts)
        if not frequencies.any():
            raise DataError(
                f'[encoder] kind = "static" found no word in {len(texts)} training texts; look at the columns of [ingest].'
            )
        weights = initial_weights(frequencies, len(texts), self.options.dimension, self.options.seed)
        for token in (UNKNOWN, WORD_START):  # alone they say nothing of a text
            weights[tokenizer.token_to_id(token)] = 0
        self.model = _wrapped(StaticEmbedding(tokenizer, weights))
        return self

    @property
    def dimension(self) -> int:
        """D."""
        return self.options.dimension

    def preprocessing(self) -> Mapping[str, Any]:
        """The tokenizer's digest."""
        return {"tokenizer": hashlib.sha256(self._tokenizer().to_str().encode()).hexdigest(), "pooling": "mean"}

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """Nothing: no prompts, no longest input."""
        return {}

    def prepare(self, payload: Sequence[str], role: Role = "document", max_length: int | None = None) -> Prepared:
        """Token ids of all texts in a row, and where each begins."""
        ids = self._ids(payload, max_length)
        lengths = np.array([len(text) for text in ids], dtype=np.int64)
        offsets = np.cumsum(lengths) - lengths
        row = np.fromiter((token for text in ids for token in text), dtype=np.int64, count=int(lengths.sum()))
        return {"input_ids": torch.from_numpy(row), "offsets": torch.from_numpy(offsets)}

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D]; zeros for a text without a known word."""
        assert self.model is not None, "fit or load the encoder first"
        vectors: Tensor = self.model(dict(prepared))["sentence_embedding"]
        return vectors

    def lengths(self, payload: Sequence[str], role: Role = "document", max_length: int | None = None) -> Int64:
        """Tokens of each text, at least 1."""
        return np.array([max(1, len(ids)) for ids in self._ids(payload, max_length)], dtype=np.int64)

    def save(self, folder: Path) -> None:
        """A folder that `SentenceTransformer(folder)` opens."""
        assert self.model is not None, "fit or load the encoder first"
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(str(folder), create_model_card=False)

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote."""
        assert isinstance(options, StaticEncoderOptions)
        return cls(options, SentenceTransformer(str(folder), device="cpu"))

    def _tokenizer(self) -> Tokenizer:
        assert self.model is not None, "fit or load the encoder first"
        tokenizer: Tokenizer = self.model[0].tokenizer
        return tokenizer

    def _ids(self, texts: Sequence[str], max_length: int | None) -> list[list[int]]:
        encodings = self._tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids[:max_length] for encoding in encodings]


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Byte-pair encoding of lower-cased words in NFKC, at most `vocabulary` tokens; the same for the same texts.

    Words are runs of letters and digits: camelCase and snake_case are taken apart, since many texts are about code, and
    marks are dropped. A word's first token begins with "▁". Of the tokenizers that could be trained here only plain BPE is
    numbered alike in every process; WordPiece, Unigram and BPE with an end-of-word suffix are not.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    camel_case = normalizers.Replace(Regex(r"(?<=[a-z0-9])(?=[A-Z])"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), camel_case, normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(r"[^\W_]+"), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Metaspace(prepend_scheme="always", split=False)])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[UNKNOWN], limit_alphabet=vocabulary // 4, min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def document_frequencies(tokenizer: Tokenizer, texts: Sequence[str]) -> Int64:
    """[V]: how many texts hold each token."""
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for start in range(0, len(texts), BATCH):
        for encoding in tokenizer.encode_batch_fast(list(texts[start : start + BATCH]), add_special_tokens=False):
            counts[list(set(encoding.ids))] += 1
    return counts


def initial_weights(frequencies: Int64, texts: int, dimension: int, seed: int) -> Float32:
    """[V, D]: a random direction for every token, as long as its inverse document frequency, log((1 + texts) / (1 + count))."""
    directions = np.random.default_rng(seed).standard_normal((len(frequencies), dimension)) / np.sqrt(dimension)
    weights: Float32 = (directions * np.log((1 + texts) / (1 + frequencies))[:, None]).astype(np.float32)
    return weights


def _wrapped(embedding: StaticEmbedding) -> SentenceTransformer:
    return SentenceTransformer(modules=[embedding, Normalize()], device="cpu", similarity_fn_name="cosine")
