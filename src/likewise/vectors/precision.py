"""Computing in 16 bits where the processor is made for it, and the check that this changes nothing that matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from likewise.encoders.base import Encoder
from likewise.errors import RecipeError
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
    would hurt. `compiled` lets torch.compile write the code of it, for batches of any size.
    """

    def __init__(self, encoder: Encoder, precision: Precision, *, compiled: bool = False) -> None:
        assert precision != "auto", "ask precision_for first"
        self.encoder = encoder
        self.precision = precision
        self._compiled: Callable[[Prepared], Tensor] | None = torch.compile(self._vectors, dynamic=True) if compiled else None
        self._weights: dict[str, Tensor] = {}
        if precision in DTYPES:
            for name, module in encoder.named_modules():
                if isinstance(module, MULTIPLYING):
                    for part, weight in module.named_parameters(recurse=False):
                        self._weights[f"{name}.{part}"] = weight.detach().to(DTYPES[precision])

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
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise RecipeError(
                f'[embed] backend = "compiled" does not work here ({reason}); install a C++ compiler, or use "torch".'
            ) from error

    def _vectors(self, prepared: Prepared) -> Tensor:
        vectors: Tensor
        if self._weights:
            vectors = torch.func.functional_call(self.encoder, self._weights, (prepared,))
        else:
            vectors = self.encoder(prepared)
        return vectors

    @contextmanager
    def _lower(self) -> Iterator[None]:
        device = self.encoder.device.type
        with ExitStack() as contexts:
            if self.precision in DTYPES:
                contexts.enter_context(torch.autocast(device, DTYPES[self.precision]))
            if self.precision == "bfloat16" and device == "cpu" and self._compiled is None:  # a compiler fuses its own
                contexts.enter_context(ProductAttention())
            yield


def least_cosine(a: Tensor, b: Tensor) -> float:
    """The smallest cosine between the vectors [B, D] of two tensors, row by row; rows of zeros count as equal directions."""
    cosines = nn.functional.cosine_similarity(a.double(), b.double(), dim=1)
    both_zero = (a == 0).all(dim=1) & (b == 0).all(dim=1)
    return float(torch.where(both_zero, 1.0, cosines).min())
