"""Computing in 16 bits where the processor is made for it, and the check that this changes nothing that matters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from likewise.encoders.base import Encoder
from likewise.errors import RecipeError, first_line
from likewise.types import Prepared
from likewise.vectors.attention import ProductAttention
from likewise.vectors.options import Device, Precision

MULTIPLYING = (nn.Linear, nn.modules.conv._ConvNd)
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}

COSINE_TO_FLOAT32 = 0.9999
"""What every vector of the sample must reach. Nearest neighbours closer than the angle this allows (0.8°) may change places."""


def device_for(option: Device, section: str = "embed") -> torch.device:
    """The device that an option of a section names; "auto" takes the GPU where there is one. RecipeError if it is not there."""
    absent = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if absent.get(option):
        raise RecipeError(f'[{section}] device = "{option}", but torch finds none here; use device = "auto" or "cpu".')
    if option != "auto":
        return torch.device(option)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def precision_for(encoder: nn.Module, device: torch.device, option: Precision) -> Precision:
    """The precision to compute in: "float32", "bfloat16" or "float16".

    "auto" is bfloat16 where the device multiplies it faster than float32 (AVX512-BF16 or AMX, CUDA from Ampere on) and the
    encoder has matrices to multiply; it is for the caller to check the vectors.
    """
    if option != "auto":
        return option
    return "bfloat16" if multiplies(encoder) and _fast_bfloat16(device) else "float32"


def multiplies(encoder: nn.Module) -> bool:
    """Whether an encoder has matrices to multiply: its time is then that of products."""
    return any(isinstance(module, MULTIPLYING) for module in encoder.modules())


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


class InPrecision:
    """An encoder computing in a precision, for inference: vectors [B, D] float32 come out whatever it is.

    In 16 bits the weights of linear layers and convolutions are converted once (autocast converts them at every call) and
    autocast runs the products and attention in them; normalisation, residual sums and pooling stay in float32, where rounding
    would hurt. `compiled` lets torch.compile write the code of it, for batches of any size. Safe to call from several threads
    at once, if the encoder's `forward` is, and if it is not compiled.
    """

    def __init__(self, encoder: Encoder, precision: Precision, *, compiled: bool = False) -> None:
        assert precision != "auto", "ask precision_for first"
        self.encoder = encoder
        self.precision = precision
        lower = precision in DTYPES and multiplies(encoder)
        self._vectors: nn.Module = _converted(encoder, DTYPES[precision]) if lower else encoder
        self._compiled: Callable[[Prepared], Tensor] | None = torch.compile(self._vectors, dynamic=True) if compiled else None

    @torch.inference_mode()
    def __call__(self, prepared: Prepared) -> Tensor:
        """Vectors [B, D] float32 of what the encoder prepared, on the encoder's device."""
        with self._lower():
            vectors = self._vectors(prepared) if self._compiled is None else self._by_compiler(self._compiled, prepared)
        return vectors.float()

    @staticmethod
    def _by_compiler(compiled: Callable[[Prepared], Tensor], prepared: Prepared) -> Tensor:
        try:
            return compiled(prepared)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = first_line(error)
            raise RecipeError(
                f'[embed] backend = "compiled" does not work here ({reason}); install a C++ compiler, or use "torch".'
            ) from error

    @contextmanager
    def _lower(self) -> Iterator[None]:
        device = self.encoder.device.type
        with ExitStack() as contexts:
            if self.precision in DTYPES:
                contexts.enter_context(torch.autocast(device, DTYPES[self.precision]))
            if self.precision == "bfloat16" and device == "cpu" and self._compiled is None:  # a compiler fuses its own
                contexts.enter_context(ProductAttention())
            if self.precision == "float32" and device == "cuda":
                contexts.enter_context(_float32.exact())
            yield


class _Float32:
    """Products and convolutions of float32 on a GPU with all of its 24 bits; by default convolutions drop 13 of them.

    The settings are those of the process: the first thread makes them, the last one puts them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[str] = []

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Computing so within the block."""
        backends: Any = torch.backends  # whose settings have no types
        settings = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = [setting.fp32_precision for setting in settings]
                for setting in settings:
                    setting.fp32_precision = "ieee"
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    for setting, value in zip(settings, self._before, strict=True):
                        setting.fp32_precision = value


_float32 = _Float32()


def _converted(module: nn.Module, dtype: torch.dtype, known: dict[nn.Module, nn.Module] | None = None) -> nn.Module:
    """A module that shares all with the given one but the weights of products, which are in `dtype`.

    Putting other weights into the module itself for the time of a call, as `functional_call` does, would mix up threads.
    """
    known = {} if known is None else known
    if not multiplies(module):
        return module
    if module not in known:
        known[module] = twin = object.__new__(type(module))  # a traced module makes a class anew for each that is asked of it
        twin.__dict__ = {name: value.copy() if isinstance(value, dict) else value for name, value in module.__dict__.items()}
        for name, child in module.named_children():
            twin._modules[name] = _converted(child, dtype, known)
        if isinstance(module, MULTIPLYING):
            for name, weight in module.named_parameters(recurse=False):
                twin._parameters[name] = nn.Parameter(weight.detach().to(dtype), requires_grad=False)
    return known[module]


def least_cosine(a: Tensor, b: Tensor) -> float:
    """The smallest cosine between the vectors [B, D] of two tensors, row by row; rows of zeros count as equal directions."""
    cosines = nn.functional.cosine_similarity(a.double(), b.double(), dim=1)
    both_zero = (a == 0).all(dim=1) & (b == 0).all(dim=1)
    return float(torch.where(both_zero, 1.0, cosines).min())
