"""A model's own tokenizer, made safe for threads: texts in, padded token ids out.

Shapes: B texts, L tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from likewise.types import Int64

PLAIN_INPUTS = {"input_ids", "token_type_ids", "attention_mask"}


class Tokenization:
    """The same token ids as a transformers tokenizer gives, from a copy of its own for each longest length.

    A transformers tokenizer changes its Rust tokenizer at every call, which fails when two threads use it at once.
    """

    def __init__(self, tokenizer: Any) -> None:
        bare = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        bare.no_truncation()
        bare.no_padding()
        self.json: str = bare.to_str()  # as text: it is copied, digested and pickled
        self.longest: int = min(int(tokenizer.model_max_length), 1 << 30)  # transformers' "no limit" is 1e30
        self._pad = (int(tokenizer.pad_token_id or 0), int(tokenizer.pad_token_type_id))
        self._names = tuple(tokenizer.model_input_names)
        self._of_length: dict[int, Tokenizer] = {}

    @staticmethod
    def understands(tokenizer: Any) -> bool:
        """Whether `tokenizer` is of the common kind: in Rust, padding and cutting on the right, giving ids, types and mask."""
        return (
            bool(getattr(tokenizer, "is_fast", False))
            and tokenizer.padding_side == "right"
            and tokenizer.truncation_side == "right"
            and set(tokenizer.model_input_names) <= PLAIN_INPUTS
            and not getattr(tokenizer, "split_special_tokens", False)
        )

    def prepare(self, texts: Sequence[str], max_length: int | None) -> dict[str, Tensor]:
        """The model's inputs [B, L], int64, padded to the longest text."""
        encodings = self._encode(texts, max_length)
        lengths = [len(encoding) for encoding in encodings]
        shape = (len(encodings), max(lengths, default=0))
        features: dict[str, Tensor] = {}
        if "input_ids" in self._names:
            features["input_ids"] = _padded([encoding.ids for encoding in encodings], shape, self._pad[0])
        if "token_type_ids" in self._names:
            features["token_type_ids"] = _padded([encoding.type_ids for encoding in encodings], shape, self._pad[1])
        if "attention_mask" in self._names:
            features["attention_mask"] = torch.from_numpy((np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64))
        return features

    def lengths(self, texts: Sequence[str], max_length: int | None) -> Int64:
        """Tokens of each text [B], special tokens included, after cutting."""
        return np.array([len(encoding) for encoding in self._encode(texts, max_length)], dtype=np.int64)

    def _encode(self, texts: Sequence[str], max_length: int | None) -> list[Encoding]:
        longest = min(self.longest, max_length or self.longest)
        tokenizer = self._of_length.get(longest)
        if tokenizer is None:
            tokenizer = Tokenizer.from_str(self.json)
            tokenizer.enable_truncation(longest)
            self._of_length[longest] = tokenizer  # two threads may both make one: either serves
        encodings: list[Encoding] = tokenizer.encode_batch_fast(list(texts))
        return encodings

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_of_length": {}}


def _padded(rows: list[list[int]], shape: tuple[int, int], filler: int) -> Tensor:
    padded = np.full(shape, filler, dtype=np.int64)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return torch.from_numpy(padded)
