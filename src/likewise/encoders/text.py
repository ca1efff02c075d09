"""Any sentence-transformers model as an encoder: its own tokenizer, modules and prompts, at unit length.

Shapes: B texts, D dimensions.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import Tensor, nn

from likewise.encoders.base import Encoder
from likewise.encoders.freezing import freeze_layers
from likewise.encoders.hub import opened, without_progress_bars
from likewise.encoders.options import TextEncoderOptions
from likewise.encoders.tokenization import Tokenization
from likewise.errors import RecipeError
from likewise.options import Options
from likewise.types import ROLES, Int64, Prepared, Role

PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""The names under which models keep a role's prompt, in the order that `encode_query` and `encode_document` look for them."""

PROBES = ("", " Two  words ", "a longer text, of several words; " * 40)
"""Texts on which our tokenization must equal the model's own before it is used."""

VOLATILE_SETTINGS = {"_name_or_path", "transformers_version", "dtype", "architectures"}
"""Of a transformer's config: they differ between saved copies of one model."""


class TextEncoder(Encoder):
    """A `SentenceTransformer` that ends in a Normalize module, its prompts and its longest input set from the options.

    `model` is open to everyone: what `save` writes opens with `SentenceTransformer(folder)`, whose `encode_query` and
    `encode_document` give the same vectors. Weights are float32 whatever they were stored as.
    """

    def __init__(self, options: TextEncoderOptions, model: SentenceTransformer | None = None) -> None:
        super().__init__()
        self.options: TextEncoderOptions = options
        self.model = model if model is not None else _open(options.model, options)
        if not isinstance(self.model[-1], Normalize):
            self.model.append(Normalize())
        if options.max_length is not None:
            _check_length(options, self.model)
            self.model.max_seq_length = options.max_length
        given = {"query": options.query_prompt, "document": options.document_prompt}
        for role in ROLES:
            prompt = given[role]
            self.model.prompts[role] = _own_prompt(self.model, role) if prompt is None else prompt
        self._lock = threading.Lock()
        self._tokenization = self._find_tokenization()
        if options.frozen_layers:
            freeze_layers(self.model, options.frozen_layers, options.model, self.prepare(["text"]))

    @property
    def dimension(self) -> int:
        """D, after the last module."""
        return int(self.model.get_embedding_dimension() or 0)

    def preprocessing(self) -> Mapping[str, Any]:
        """The tokenizer's digest and the settings of every module."""
        tokenizer = self._tokenization.json if self._tokenization else repr(self.model.tokenizer)
        return {
            "tokenizer": hashlib.sha256(tokenizer.encode()).hexdigest(),
            "modules": [{"class": type(module).__name__, **_settings(module)} for module in self.model],
        }

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """The prompt and the longest input in tokens."""
        return {"prompt": self.model.prompts[role], "max_length": str(self.model.max_seq_length)}

    def prepare(self, payload: Sequence[str], role: Role = "document", max_length: int | None = None) -> Prepared:
        """What `SentenceTransformer.preprocess` gives: token ids, types and mask [B, L], int64. `max_length` is in tokens."""
        if self._tokenization is None:
            return self._model_prepare(payload, role, max_length)
        prompt = self.model.prompts[role]
        return {**self._tokenization.prepare([prompt + text for text in payload], max_length), "task": role}

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D] float32."""
        features = dict(prepared)  # the modules write into what they are given
        vectors: Tensor = self.model(features, task=features.get("task"))["sentence_embedding"]
        return vectors

    def lengths(self, payload: Sequence[str], role: Role = "document", max_length: int | None = None) -> Int64:
        """Tokens of each text [B], prompt and special tokens included, after cutting."""
        if self._tokenization is None:
            counts = [_tokens(self._model_prepare([text], role, max_length)) for text in payload]
            return np.array(counts, dtype=np.int64)
        prompt = self.model.prompts[role]
        return self._tokenization.lengths([prompt + text for text in payload], max_length)

    def save(self, folder: Path) -> None:
        """A folder that `SentenceTransformer(folder)` opens."""
        folder.mkdir(parents=True, exist_ok=True)
        with without_progress_bars():
            self.model.save(str(folder), create_model_card=False)

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote; `options.model` is not opened."""
        assert isinstance(options, TextEncoderOptions)
        return cls(options, _open(str(folder), TextEncoderOptions(model=str(folder))))

    def _find_tokenization(self) -> Tokenization | None:
        """Our tokenization where it gives this model's inputs to the bit; else None: the model's own, one thread at a time."""
        first = self.model[0]
        excludes_prompt = any(isinstance(module, Pooling) and not module.include_prompt for module in self.model)
        if not isinstance(first, Transformer) or excludes_prompt or not Tokenization.understands(first.tokenizer):
            return None
        own = Tokenization(first.tokenizer)
        role: Role = "document"
        texts = [self.model.prompts[role] + text for text in PROBES]
        alike = all(_same(own.prepare(texts, longest), self._model_prepare(PROBES, role, longest)) for longest in (None, 16))
        return own if alike else None

    def _model_prepare(self, payload: Sequence[str], role: Role, max_length: int | None) -> dict[str, Any]:
        longest = self.model.max_seq_length
        if max_length is not None and longest is not None:
            max_length = int(min(max_length, longest))
        with self._lock:
            features = self.model.preprocess(
                list(payload), prompt=self.model.prompts[role] or None, task=role, max_length=max_length
            )
        return {**features, "task": role}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch does not annotate it
        self._lock = threading.Lock()


def _open(model: str, options: TextEncoderOptions) -> SentenceTransformer:
    """The model on the CPU in float32; DataError names it where it cannot be opened."""

    def open_(name: str, local: bool) -> SentenceTransformer:
        return SentenceTransformer(
            name,
            device="cpu",
            cache_folder=options.cache_dir,
            revision=options.revision,
            local_files_only=local,
            model_kwargs={"dtype": torch.float32},
        )

    return opened(model, open_, writer="SentenceTransformer.save or save_pretrained")


def _own_prompt(model: SentenceTransformer, role: Role) -> str:
    """The prompt that `encode_query` or `encode_document` would use."""
    names = [name for name in (*PROMPT_NAMES[role], model.default_prompt_name) if name and model.prompts.get(name)]
    return str(model.prompts[names[0]]) if names else ""


def _check_length(options: TextEncoderOptions, model: SentenceTransformer) -> None:
    """RecipeError where the model has no positions for so long an input."""
    config = getattr(model[0], "config", None)
    positions = getattr(config, "max_position_embeddings", None)
    if config is None or not positions or options.max_length is None:
        return
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer"):
        positions -= 2  # they count positions from the padding index + 1
    if options.max_length > positions:
        raise RecipeError(
            f'[encoder] max_length = {options.max_length} is more than the {positions} positions of "{options.model}"; '
            f"use at most {positions}."
        )


def _settings(module: nn.Module) -> dict[str, Any]:
    """What a module does besides its weights, the same for every saved copy of it."""
    if isinstance(module, Transformer):
        config = module.config.to_dict()
        return {name: str(config[name]) for name in sorted(config) if name not in VOLATILE_SETTINGS}
    get_config = getattr(module, "get_config_dict", dict)
    return {name: str(value) for name, value in get_config().items()}


def _same(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether two prepared batches hold the same tensors."""
    tensors = {name: value for name, value in theirs.items() if isinstance(value, Tensor)}
    return own.keys() == tensors.keys() and all(torch.equal(own[name], tensors[name]) for name in tensors)


def _tokens(prepared: Mapping[str, Any]) -> int:
    """Tokens of a batch of one."""
    for name in ("attention_mask", "input_ids"):
        if name in prepared:
            return max(1, int(prepared[name].sum() if name == "attention_mask" else prepared[name].numel()))
    return 1
