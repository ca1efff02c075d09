"""What computes an encoder's vectors, and the choice of it: PyTorch as it is, code compiled by it, or OpenVINO on a CPU.

Whatever is faster than PyTorch in float32 is first compared with it on a sample.

Shapes: B items, D dimensions.
"""

from __future__ import annotations

import importlib.util
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from likewise.encoders.base import Encoder, to_device
from likewise.errors import MissingExtra, RecipeError, first_line
from likewise.openvino_core import core
from likewise.types import Prepared
from likewise.vectors.cache import EmbeddingCache, cache_key
from likewise.vectors.options import Backend, Precision
from likewise.vectors.precision import COSINE_TO_FLOAT32, InPrecision, least_cosine, multiplies, precision_for

SAME = 0.999  # the cosine of two vectors of one item in one precision, whatever is beside it
PICTURES = 4  # axes of a batch of pictures
NOTE = 3  # numbers in a note of the cache: which way, whether it was compared, the cosine
OPENVINO_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}

Say = Callable[[str], None]


class Computing(Protocol):
    """An encoder at work: what its `prepare` gave → vectors [B, D] float32."""

    encoder: Encoder

    def __call__(self, prepared: Prepared) -> Tensor:
        """Vectors [B, D]."""


class Way(NamedTuple):
    """A way to compute; `runtime` is what the encoder brings for it itself, if it does."""

    backend: Backend
    precision: Precision
    runtime: str = ""

    @property
    def exact(self) -> bool:
        """Whether it is what others are compared with."""
        return self.precision == "float32" and (self.backend == "torch" or bool(self.runtime))

    @property
    def version(self) -> str:
        """The backend with its version, where that changes the last bits of vectors."""
        if self.runtime:
            return self.runtime
        if self.backend == "openvino":
            import openvino

            return f"openvino {openvino.__version__}"
        return f"compiled by torch {torch.__version__}" if self.backend == "compiled" else self.backend

    def __str__(self) -> str:
        if self.runtime:
            return f"{self.precision} by {self.runtime.split()[0]}"
        return self.precision if self.backend == "torch" else f"{self.precision} by {self.backend}"


EXACT = Way("torch", "float32")


@dataclass(frozen=True, slots=True)
class Settled:
    """The way chosen, and the least cosine of its vectors of a sample to float32 (None where that is the way)."""

    way: Way
    cosine: float | None


class NotConvertible(Exception):
    """An encoder that OpenVINO has no words for."""


class InOpenVINO:
    """An encoder traced once, converted and compiled by OpenVINO, on the CPU, with as many threads as torch has.

    `lanes` batches are computed at once, each in its share of the threads, if so many threads call it. The example must have been
    prepared by the encoder: tensors, or a dict that has some. Later batches have the same names and numbers of axes; of pictures
    [B, C, h, w] the last three axes are fixed, everything else may have any length. `NotConvertible` where the encoder does what
    cannot be traced.
    """

    def __init__(self, encoder: Encoder, precision: Precision, example: Prepared, lanes: int = 1) -> None:
        self.encoder = encoder
        self._model = _compile(encoder, precision, example, lanes)
        self._of_thread = threading.local()

    def __call__(self, prepared: Prepared) -> Tensor:
        """Vectors [B, D] float32 of what the encoder prepared."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._model.create_infer_request()
        request = self._of_thread.request
        request.infer([tensor.contiguous().numpy() for tensor in _tensors(prepared).values()])
        return torch.from_numpy(request.get_output_tensor().data.copy()).float()


def settle(encoder: Encoder, prepared: Prepared, ways: Sequence[Way], say: Say, lanes: int = 1) -> tuple[Computing, Settled]:
    """What computes the encoder's vectors: the first of the ways whose vectors of a sample agree with float32.

    The last way is used even where it does not agree, the recipe having left no other, and `say` is told. RecipeError where
    it is OpenVINO, and that cannot compute the encoder.
    """
    prepared = to_device(prepared, encoder.device)
    exact: Tensor | None = None
    for way, following in zip(ways, [*ways[1:], None], strict=True):
        if way.exact:
            return InPrecision(encoder, "float32"), Settled(way, None)
        try:
            computing = computing_by(encoder, way, lambda: prepared, lanes)
            with ThreadPoolExecutor(1, "likewise-settle") as beside:  # OpenVINO's lane leaves processors free
                trying = beside.submit(_tried, computing, prepared) if way.backend == "openvino" else None
                exact = InPrecision(encoder.in_float32(), "float32")(prepared) if exact is None else exact
            cosine = least_cosine(exact, trying.result() if trying else computing(prepared))
        except NotConvertible as error:
            if following is None or following.backend == "openvino":
                raise RecipeError(f'[embed] backend = "openvino" cannot compute this encoder ({error}); use "torch".') from error
            say(f"OpenVINO cannot compute this encoder ({error}); torch is used.")
            continue
        if cosine >= COSINE_TO_FLOAT32:
            return computing, Settled(way, cosine)
        gap = f"vectors computed in {way} have cosine {cosine:.5f} to float32, less than {COSINE_TO_FLOAT32}"
        if following is None:
            say(f"{gap}; {way} is used because the recipe says so.")
            return computing, Settled(way, cosine)
        say(f"{gap}; {following} is {'used' if following.exact else 'tried'}.")
    return InPrecision(encoder, "float32"), Settled(EXACT, None)


def settle_once(
    encoder: Encoder,
    sample: Callable[[], Prepared],
    ways: Sequence[Way],
    say: Say,
    cache: EmbeddingCache | None,
    items: bytes,
    lanes: int = 1,
) -> tuple[Computing | None, Settled]:
    """As `settle`, on a sample of items that a digest names; what was settled before with the same ones the cache tells.

    Then nothing is computed, and what computes (`computing_by`) must be made where it is wanted.
    """
    if ways[0].exact:
        return None, Settled(ways[0], None)
    if cache is None:
        return settle(encoder, sample(), ways, say, lanes)
    note = cache_key(items, f"way {encoder.space} {[(way.version, way.precision) for way in ways]}")
    known = cache.get_many([note], NOTE)[0]
    if known is not None:
        way, compared, cosine = known.tolist()
        return None, Settled(ways[int(way)] if way >= 0 else EXACT, cosine if compared else None)
    computing, settled = settle(encoder, sample(), ways, say, lanes)
    place = ways.index(settled.way) if settled.way in ways else -1
    cache.put_many([note], np.array([[place, settled.cosine is not None, settled.cosine or 0.0]], dtype=np.float32))
    return computing, settled


def computing_by(encoder: Encoder, way: Way, example: Callable[[], Prepared], lanes: int = 1) -> Computing:
    """An encoder that computes in a way; OpenVINO needs a batch as an example. NotConvertible where that cannot be.

    `lanes` threads may use it at once.
    """
    if way.backend == "openvino":
        return InOpenVINO(encoder, way.precision, example(), lanes)
    return InPrecision(encoder, "float32" if way.runtime else way.precision, compiled=way.backend == "compiled")


def ways_for(encoder: Encoder, precision: Precision, backend: Backend, *, much: bool) -> list[Way]:
    """The ways to compute that the options leave, the fastest first; at least one.

    `much` says whether the work is worth the seconds that OpenVINO takes to convert a model. RecipeError and MissingExtra for
    what cannot be had.
    """
    if encoder.runtime is not None:
        if backend not in ("auto", "torch") or precision not in ("auto", "float32"):
            raise RecipeError(
                f"This encoder brings its own runtime ({encoder.runtime.name}): leave backend and precision out of [embed], "
                "and set [encoder] precision."
            )
        return [Way("torch", encoder.runtime.precision, encoder.runtime.name)]
    preferred = precision_for(encoder, encoder.device, precision)
    installed = importlib.util.find_spec("openvino") is not None
    suits = encoder.device.type == "cpu" and preferred in OPENVINO_PRECISIONS
    if backend == "openvino" and not installed:
        raise MissingExtra("openvino", '[embed] backend = "openvino"')
    if backend == "openvino" and not suits:
        raise RecipeError(
            f'[embed] backend = "openvino" computes float32 and bfloat16 on a CPU, not {preferred} on {encoder.device.type}; '
            'use "torch".'
        )
    backends: list[Backend] = ["torch"] if backend == "auto" else [backend]
    if backend == "auto" and much and suits and installed and multiplies(encoder):
        backends.insert(0, "openvino")
    found = [Way(name, preferred) for name in backends]
    return found if precision != "auto" or preferred == "float32" else [*found, Way(backends[-1], "float32")]


class _Traceable(nn.Module):
    """An encoder whose tensors are given one by one; what else was prepared stays as in the example."""

    def __init__(self, encoder: Encoder, example: Prepared) -> None:
        super().__init__()
        self.encoder = encoder
        self.example = example

    def forward(self, *tensors: Tensor) -> Tensor:
        """Vectors [B, D]."""
        if isinstance(self.example, Tensor):
            return self.encoder(tensors[0])  # type: ignore[no-any-return]  # of nn.Module
        return self.encoder({**self.example, **dict(zip(_tensors(self.example), tensors, strict=True))})  # type: ignore[no-any-return]


def _tried(computing: Computing, prepared: Prepared) -> Tensor:
    """Vectors of the sample. NotConvertible where other items, and fewer, do not get vectors of their own: what was traced may
    hold its example."""
    found, turned = computing(prepared), _turned(prepared)
    if turned is not None:
        again = computing(turned)
        if len(again) != 2 or least_cosine(found[:2].flip(0), again) < SAME:
            raise NotConvertible("it gives other items the vectors of the sample")
    return found


def _turned(prepared: Prepared) -> Prepared | None:
    """The first two items in the other order, where all that was prepared are tensors with a row for each item."""
    tensors = list(_tensors(prepared).values())
    if len({len(tensor) for tensor in tensors}) != 1 or len(tensors[0]) < 2:
        return None
    if isinstance(prepared, Tensor):
        return prepared[:2].flip(0)
    return {name: value[:2].flip(0) for name, value in prepared.items()} if len(tensors) == len(prepared) else None


def _tensors(prepared: Prepared) -> dict[str, Tensor]:
    """The tensors of a batch by name, in order; NotConvertible where it has none, or is of another form."""
    if isinstance(prepared, Tensor):
        return {"": prepared}
    found = {name: value for name, value in prepared.items() if isinstance(value, Tensor)} if isinstance(prepared, dict) else {}
    if not found:
        raise NotConvertible("it is given no tensors")
    return found


_compiled: WeakKeyDictionary[Encoder, tuple[tuple[str, str, int, int], Any]] = WeakKeyDictionary()
"""The last model compiled of an encoder, by its space, precision, threads and lanes; it stays as long as these do."""


def _compile(encoder: Encoder, precision: Precision, example: Prepared, lanes: int) -> Any:
    """The encoder as OpenVINO runs it."""
    import openvino

    version = (encoder.space, OPENVINO_PRECISIONS[precision], torch.get_num_threads(), lanes)
    known = _compiled.get(encoder)
    if known is not None and known[0] == version:
        return known[1]
    tensors = list(_tensors(example).values())
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of tracing: what it says of branches is tested on the sample
            model = openvino.convert_model(_Traceable(encoder, example).eval(), example_input=tuple(tensors))
        shapes = [[-1, *tensor.shape[1:]] if tensor.ndim == PICTURES else [-1] * tensor.ndim for tensor in tensors]
        model.reshape(dict(zip(model.inputs, map(openvino.PartialShape, shapes), strict=True)))
        hints = {"INFERENCE_PRECISION_HINT": version[1], "NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": version[2]}
        hints["ENABLE_CPU_PINNING"] = False  # threads that prepare batches need room, too
        compiled = core().compile_model(model, "CPU", hints)
    except Exception as error:  # of torch's tracing, OpenVINO's conversion and its plugin: each has its own classes
        raise NotConvertible(first_line(error)) from error
    _compiled[encoder] = (version, compiled)
    return compiled
