"""A fake encoder, a tiny real model, and the contract that every encoder is held to."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import likewise.options
from likewise.encoders.base import Encoder, to_device
from likewise.types import ROLES, Int64, Prepared, Role


class FakeEncoderOptions(likewise.options.Options):
    """A fake encoder: D dimensions and as many rows of weights as there are buckets for words."""

    implementation: ClassVar[str] = "likewise.testing.encoders:FakeEncoder"

    kind: str = "likewise.testing.encoders:FakeEncoder"
    dimension: int = 16
    buckets: int = 512
    seed: int = 0
    query_prompt: str = ""
    max_length: int = 64


class FakeEncoder(Encoder):
    """The mean of random vectors, one per hashed word, at unit length: trains, saves and runs in microseconds.

    Texts that share words are near each other, so that mining, training and evaluation have something to find.
    """

    Options = FakeEncoderOptions

    def __init__(self, options: FakeEncoderOptions | None = None) -> None:
        super().__init__()
        self.options: FakeEncoderOptions = options or FakeEncoderOptions()
        generator = torch.Generator().manual_seed(self.options.seed)
        weights = torch.randn(self.options.buckets, self.options.dimension, generator=generator)
        self.embedding = nn.EmbeddingBag.from_pretrained(weights, freeze=False, mode="mean")

    @property
    def dimension(self) -> int:
        """D."""
        return self.options.dimension

    def preprocessing(self) -> Mapping[str, Any]:
        """The hash and its range."""
        return {"hash": "crc32", "buckets": self.options.buckets}

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """The prompt and the longest text in words."""
        return {"prompt": self._prompt(role), "max_length": self.options.max_length}

    def prepare(self, payload: Sequence[str], role: Role = "document", max_length: int | None = None) -> Prepared:
        """Buckets of all words in a row, and where each text begins."""
        words = [self._words(text, role, max_length) for text in payload]
        buckets = [zlib.crc32(word.encode()) % self.options.buckets for text in words for word in text]
        starts = np.cumsum([0] + [len(text) for text in words[:-1]]) if words else np.zeros(0)
        return {"words": torch.tensor(buckets, dtype=torch.long), "starts": torch.from_numpy(starts.astype(np.int64))}

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D]."""
        return nn.functional.normalize(self.embedding(prepared["words"], prepared["starts"]), dim=1)

    def lengths(self, payload: Sequence[str], role: Role = "document", max_length: int | None = None) -> Int64:
        """Words of each text."""
        return np.array([len(self._words(text, role, max_length)) for text in payload], dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Weights as safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, options: likewise.options.Options) -> Self:
        """What `save` wrote."""
        assert isinstance(options, FakeEncoderOptions)
        encoder = cls(options)
        encoder.load_state_dict(load_file(folder / "model.safetensors"))
        return encoder

    def _prompt(self, role: Role) -> str:
        return self.options.query_prompt if role == "query" else ""

    def _words(self, text: str, role: Role, max_length: int | None) -> list[str]:
        longest = min(self.options.max_length, max_length or self.options.max_length)
        return (self._prompt(role) + text).lower().split()[:longest] or [""]


def tiny_text_model(folder: Path, *, dimension: int = 32, layers: int = 2, seed: int = 0, texts: Sequence[str] = ()) -> Path:
    """Save a small, randomly initialised BERT with a real WordPiece tokenizer as a sentence-transformers folder; no network.

    The vocabulary holds the letters and the words of `texts`. Returns the folder.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizerFast

    source = folder.with_name(folder.name + "-transformers")
    source.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,:;!?()-'"
    words = sorted({word for text in texts for word in text.lower().split()} - set(letters))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    (source / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=dimension,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * dimension,
        max_position_embeddings=128,
        initializer_range=0.2,  # BERT's 0.02 makes vectors of so small a model nearly equal
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(source)
    BertTokenizerFast(str(source / "vocab.txt"), model_max_length=128).save_pretrained(source)
    transformer = Transformer(str(source))
    SentenceTransformer(modules=[transformer, Pooling(dimension)], device="cpu").save(str(folder), create_model_card=False)
    return folder


def check_encoder(make: Callable[[], Encoder], payload: Sequence[Any], folder: Path) -> None:
    """Hold an encoder to its contract; AssertionError names what it breaks.

    `make` builds it afresh, the same every time; `payload` holds at least four different items; `folder` is an empty place.
    """
    assert len(payload) >= 4, "give check_encoder at least four different items"
    encoder = make().eval()
    vectors = _vectors(encoder, payload)
    _check_vectors(encoder, payload, vectors)
    _check_keys(make, encoder)
    _check_lengths(encoder, payload)
    _check_threads(encoder, payload, vectors)
    _check_saving(encoder, payload, vectors, folder)
    _check_gradient(make(), payload)


def _vectors(encoder: Encoder, payload: Sequence[Any], role: Role = "document") -> Tensor:
    return _computed(encoder, encoder.prepare(payload, role))


def _computed(encoder: Encoder, prepared: Prepared) -> Tensor:
    with torch.inference_mode():
        vectors: Tensor = encoder(to_device(prepared, encoder.device))
    return vectors.float().cpu()


def _check_vectors(encoder: Encoder, payload: Sequence[Any], vectors: Tensor) -> None:
    assert vectors.shape == (len(payload), encoder.dimension), f"forward gave {tuple(vectors.shape)}"
    assert torch.isfinite(vectors).all(), "a vector is not finite"
    assert torch.equal(vectors, _vectors(encoder, payload)), "the same items gave other vectors the second time"
    backwards = _vectors(encoder, list(reversed(payload))).flip(0)
    assert torch.allclose(vectors, backwards, atol=1e-5), "a vector depends on the order of its batch"
    alone = torch.cat([_vectors(encoder, [item]) for item in payload])
    assert torch.allclose(vectors, alone, atol=1e-5), "a vector depends on the other items of its batch"


def _check_keys(make: Callable[[], Encoder], encoder: Encoder) -> None:
    assert make().space == encoder.space, "two equal encoders are of different spaces"
    keys = {encoder.key(role, precision) for role in ROLES for precision in ("float32", "bfloat16")}
    assert len(keys) == 4, "the key does not tell roles or precisions apart"
    changed = make()
    with torch.no_grad():
        some = next(parameter for parameter in changed.parameters() if parameter.numel())
        some[(0,) * some.ndim] += 1
    assert changed.space != encoder.space, "the space did not change with the weights"
    assert changed.key("query") != encoder.key("query"), "the key did not change with the weights"


def _check_lengths(encoder: Encoder, payload: Sequence[Any]) -> None:
    for role in ROLES:
        lengths = encoder.lengths(payload, role)
        assert lengths.dtype == np.int64, "lengths are not int64"
        assert lengths.shape == (len(payload),), "lengths are not one per item"
        assert (lengths >= 1).all(), "an item costs nothing"
        shorter = encoder.lengths(payload, role, max_length=3)
        assert (shorter <= lengths).all(), "a smaller max_length made an item longer"


def _check_threads(encoder: Encoder, payload: Sequence[Any], vectors: Tensor) -> None:
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(lambda length: encoder.prepare(payload, "document", length), [None, 3] * 8))
    alone = [_computed(encoder, each) for each in prepared]
    assert all(torch.equal(vectors, other) for other in alone[::2]), "prepare is not safe in threads"
    if encoder.device.type == "cpu":  # elsewhere threads take turns
        with ThreadPoolExecutor(4) as pool:
            beside = list(pool.map(lambda each: _computed(encoder, each), prepared))
        assert all(torch.allclose(*each, atol=1e-5) for each in zip(alone, beside, strict=True)), "forward is not safe in threads"


def _check_saving(encoder: Encoder, payload: Sequence[Any], vectors: Tensor, folder: Path) -> None:
    encoder.save(folder)
    loaded = type(encoder).load(folder, encoder.options).eval()
    assert loaded.space == encoder.space, "the space changed by saving and loading"
    assert all(loaded.key(role) == encoder.key(role) for role in ROLES), "a key changed by saving and loading"
    assert torch.equal(vectors, _vectors(loaded, payload)), "vectors changed by saving and loading"


def _check_gradient(encoder: Encoder, payload: Sequence[Any]) -> None:
    encoder.train()
    vectors = encoder(to_device(encoder.prepare(payload, "document"), encoder.device))
    (vectors * torch.linspace(-1, 1, vectors.shape[1], device=vectors.device)).sum().backward()
    gradients = [parameter.grad for parameter in encoder.parameters() if parameter.requires_grad and parameter.grad is not None]
    assert gradients, "no parameter received a gradient"
    assert all(torch.isfinite(gradient).all() for gradient in gradients), "a gradient is not finite"
    assert any(gradient.abs().sum() > 0 for gradient in gradients), "every gradient is zero"
