"""A vision model in a file as an encoder: ONNX, OpenVINO IR or TFLite, run by OpenVINO.

The vector is any output or inner tensor of the model, at unit length: [B, D], a map [B, D, h, w] or [B, h, w, D] averaged over
its places, or tokens [B, T, D] averaged over them. The input's layout, size and type are read from the file; bytes take pixels as
they are.

Shapes: B pictures, h × w pixels as the model takes them, D dimensions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import mmap
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from likewise.encoders.base import Runtime
from likewise.encoders.image_preprocessing import ImagePreprocessing
from likewise.encoders.options import OpenVINOEncoderOptions
from likewise.encoders.pictures import PictureEncoder
from likewise.errors import DataError, MissingExtra
from likewise.openvino_core import core
from likewise.options import Options
from likewise.types import Float32, Prepared, Role

BESIDE = {".xml": ".bin"}  # the weights of an OpenVINO IR
ENDINGS = (".onnx", ".xml", ".tflite")
EXTERNAL = b"\n\x08location\x12"  # the key of an entry of `external_data`, as protocol buffers write it, and the tag of its value
INPUTS = (np.float32, np.float16, np.uint8)
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}


class OpenVINOEncoder(PictureEncoder):
    """Runs on the CPU. Nothing of it can be trained: its weights stay in the file, whose digest is part of the space."""

    def __init__(self, options: OpenVINOEncoderOptions, file: Path | None = None) -> None:
        super().__init__(options.pixels)
        self.options: OpenVINOEncoderOptions = options
        self.file = file or Path(options.model).expanduser()
        self._model = _tapped(self.file, options)
        self._layout = _layout(self._model, options.model)
        size = self._layout.size
        scale = 1.0 if self._layout.bytes else options.scale
        plain = self._layout.bytes
        self.processing = ImagePreprocessing(
            shortest=None if options.resize == "stretch" else min(size),
            size=size if options.resize == "stretch" else None,
            crop=None if options.resize == "stretch" else size,
            resample=int(RESAMPLING[options.resample]),
            scale=scale,
            mean=(0.0, 0.0, 0.0) if plain else options.mean,
            std=(1.0, 1.0, 1.0) if plain else options.std,
        )
        self._dimension = int(self(torch.zeros(1, 3, *size)).shape[1])

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self.options, "file": self.file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["options"], state["file"])  # type: ignore[misc]  # what is compiled cannot be carried over

    @property
    def runtime(self) -> Runtime:
        """OpenVINO, in the precision of the options."""
        import openvino

        return Runtime(f"openvino {openvino.__version__}", self.options.precision)

    def in_float32(self) -> OpenVINOEncoder:
        """The same file, run in float32."""
        return OpenVINOEncoder(self.options.model_copy(update={"precision": "float32"}), self.file)

    @property
    def dimension(self) -> int:
        """D."""
        return self._dimension

    def preprocessing(self) -> Mapping[str, Any]:
        """The digest of the file, the tensor that is taken, and what is done to pixels."""
        named = {"output": self.options.output, "precision": self.options.precision}
        pixels = self._pixels.model_dump(mode="json")
        return {"file": self._digest, **named, "processing": self.processing.as_json(), "pixels": pixels, "pooling": "mean"}

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """As of all pictures, and OpenVINO's version."""
        import openvino

        return {**super().key_parts(role), "openvino": openvino.__version__}

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D] float32."""
        found = self._infer(self._layout.given(prepared.cpu().numpy()))
        if found.ndim == 4:
            found = found.mean(axis=(1, 2) if _channels_last(found.shape, self._layout) else (2, 3))
        elif found.ndim == 3:
            found = found.mean(axis=1)
        vectors = torch.from_numpy(np.ascontiguousarray(found.reshape(len(found), -1), dtype=np.float32))
        return nn.functional.normalize(vectors, dim=1)

    def save(self, folder: Path) -> None:
        """A copy of the file, and of the weights beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in _files(self.file):
            shutil.copyfile(path, folder / f"model{path.suffix}")

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote; `options.model` is not opened."""
        assert isinstance(options, OpenVINOEncoderOptions)
        return cls(options, folder / f"model{Path(options.model).suffix}")

    @cached_property
    def _digest(self) -> str:
        whole = hashlib.sha256()
        for path in _files(self.file):
            whole.update(path.read_bytes())
        return whole.hexdigest()

    @cached_property
    def _compiled(self) -> tuple[Any, bool]:
        """The compiled model, and whether it takes several pictures at once."""
        hint = {"INFERENCE_PRECISION_HINT": "bf16" if self.options.precision == "bfloat16" else "f32"}
        model = self._model
        first = model.input(0).get_partial_shape()
        if first[0].is_dynamic:
            return core().compile_model(model, "CPU", hint), True
        try:
            batched = model.clone()
            batched.reshape([-1, *(first[axis].get_length() for axis in range(1, 4))])
            compiled = core().compile_model(batched, "CPU", hint)
            two = np.zeros((2, *(first[axis].get_length() for axis in range(1, 4))), self._layout.dtype)
            if len(compiled(two)[0]) == 2:
                return compiled, True
        except RuntimeError:  # the graph holds the number one somewhere inside
            pass
        return core().compile_model(model, "CPU", hint), False

    def _infer(self, pixels: NDArray[Any]) -> NDArray[Any]:
        compiled, several = self._compiled
        request = compiled.create_infer_request()  # the model's own is for one thread
        batches = [pixels] if several else np.split(pixels, len(pixels))
        return np.concatenate([np.array(request.infer(batch, share_inputs=True)[0]) for batch in batches])


class _Layout:
    """How the model takes pixels: `size` (h, w), channels first or last, and whether as bytes."""

    def __init__(self, size: tuple[int, int], channels_last: bool, dtype: Any) -> None:
        self.size = size
        self.channels_last = channels_last
        self.dtype = dtype
        self.bytes = dtype == np.uint8

    def given(self, pixels: Float32) -> NDArray[Any]:
        """Pixels [B, 3, h, w] float32 as the model takes them."""
        turned = pixels.transpose(0, 2, 3, 1) if self.channels_last else pixels
        values = np.rint(turned).clip(0, 255) if self.bytes else turned
        return np.ascontiguousarray(values, dtype=self.dtype)


def _tapped(file: Path, options: OpenVINOEncoderOptions) -> Any:
    """The model in a file, its output the tensor that the options name; DataError where there is none."""
    if importlib.util.find_spec("openvino") is None:
        raise MissingExtra("openvino", '[encoder] kind = "openvino"')
    import openvino

    if not file.is_file() or file.suffix not in ENDINGS:
        raise DataError(f'[encoder] model = "{options.model}" is not a file that ends in {", ".join(ENDINGS)}; name one.')
    _refuse_weights_elsewhere(file, options.model)
    try:
        model = core().read_model(str(file))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip().rstrip(".")
        raise DataError(f'[encoder] model = "{options.model}" cannot be read ({reason}); write it again.') from error
    if options.output is None:
        if len(model.outputs) > 1:
            names = ", ".join(sorted(name for output in model.outputs for name in output.names))
            raise DataError(f'[encoder] model = "{options.model}" has several outputs ({names}); name one as output.')
        return model
    wanted = [output for operation in model.get_ordered_ops() for output in operation.outputs() if _is(output, options.output)]
    if not wanted:
        kinds = sorted({operation.get_type_name() for operation in model.get_ordered_ops()} - {"Constant", "Parameter", "Result"})
        raise DataError(
            f'[encoder] model = "{options.model}" has no tensor, operation or kind of operation called "{options.output}"; '
            f"its kinds of operations are {', '.join(kinds)}."
        )
    return openvino.Model([wanted[-1]], [each.get_node() for each in model.inputs], "tapped")


def _is(output: Any, name: str) -> bool:
    """Whether a tensor is called so, or is made by an operation of this name or kind."""
    node = output.get_node()
    return name in output.names or name in (node.get_friendly_name(), node.get_type_name())


def _layout(model: Any, name: str) -> _Layout:
    """The size, layout and type of the only input; DataError where it is not a picture of three channels and fixed size."""
    shape = model.input(0).get_partial_shape() if len(model.inputs) == 1 else None
    of_four = list(shape) if shape is not None and shape.rank.is_static and len(shape) == 4 else []
    sides = [0 if side.is_dynamic else int(side.get_length()) for side in of_four]
    for channels, rows, columns in ((1, 2, 3), (3, 1, 2)):
        if sides and sides[channels] == 3 and sides[rows] and sides[columns]:
            dtype = np.dtype(model.input(0).get_element_type().to_dtype())
            if dtype not in INPUTS:
                raise DataError(f'[encoder] model = "{name}" takes {dtype}; export it with an input of float32 or uint8.')
            return _Layout((sides[rows], sides[columns]), channels == 3, dtype.type)
    raise DataError(
        f'[encoder] model = "{name}" takes {shape if shape is not None else "several inputs"}, not pictures of three channels '
        "and a fixed size; export it with a fixed size."
    )


def _files(file: Path) -> list[Path]:
    beside = file.with_suffix(BESIDE[file.suffix]) if file.suffix in BESIDE else None
    return [file, *([beside] if beside is not None and beside.is_file() else [])]


def _channels_last(shape: tuple[int, ...], layout: _Layout) -> bool:
    """Whether a map [B, ., ., .] has its channels last: a map of the input's proportions where they stand, else as the input."""
    tall, wide = layout.size
    first, last = shape[2] * wide == shape[3] * tall, shape[1] * wide == shape[2] * tall
    return last if first != last else layout.channels_last


def _refuse_weights_elsewhere(file: Path, name: str) -> None:
    """DataError for an ONNX file that keeps weights in other files: these would be in neither its digest nor its copy."""
    if file.suffix != ".onnx" or not file.stat().st_size:
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        elsewhere = content.find(EXTERNAL) >= 0
    if elsewhere:
        raise DataError(
            f'[encoder] model = "{name}" keeps its weights in another file; save it whole '
            "(onnx.save(onnx.load(FILE), NEW_FILE)), or convert it to OpenVINO IR."
        )
