"""Small pictures and small vision models, made and saved by the test that wants them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import BitImageProcessorPil as BitProcessor
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    ConvNextImageProcessorPil,
    Dinov2Config,
    Dinov2Model,
    PreTrainedModel,
    ResNetConfig,
    ResNetModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)
from transformers import CLIPImageProcessorPil as CLIPProcessor

SIDE = 56
_SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
_VISION = {**_SMALL, "image_size": SIDE, "patch_size": 14}
_TEXT = {**_SMALL, "vocab_size": 50, "max_position_embeddings": 8}
CROPPED = {"size": {"shortest_edge": 64}, "crop_size": {"height": SIDE, "width": SIDE}}
FIXED = {"size": {"height": SIDE, "width": SIDE}}
OPENVINO_SIDE = 32
MODELS = ("resnet", "dinov2", "vit", "clip", "siglip")


def small_model(kind: str) -> tuple[PreTrainedModel, Any]:
    """A model with random weights, and the processor of its kind."""
    torch.manual_seed(0)
    match kind:
        case "resnet":
            config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
            return ResNetModel(config), ConvNextImageProcessorPil(size={"shortest_edge": SIDE}, crop_pct=0.875)
        case "dinov2":
            return Dinov2Model(Dinov2Config(**_VISION)), BitProcessor(**CROPPED)
        case "vit":
            return ViTModel(ViTConfig(**_VISION)), ViTImageProcessorPil(**FIXED)
        case "clip":
            parts = {"text_config": CLIPTextConfig(**_TEXT), "vision_config": CLIPVisionConfig(**_VISION)}
            return CLIPModel(CLIPConfig(**parts, projection_dim=24)), CLIPProcessor(**CROPPED)
        case _:
            parts = {"text_config": SiglipTextConfig(**_TEXT), "vision_config": SiglipVisionConfig(**_VISION)}
            return SiglipModel(SiglipConfig(**parts)), SiglipImageProcessorPil(**FIXED)


def save_model(folder: Path, kind: str = "resnet") -> Path:
    """Such a model in a folder, as `save_pretrained` writes it."""
    model, processor = small_model(kind)
    model.save_pretrained(folder / kind)
    processor.save_pretrained(folder / kind)
    return folder / kind


def picture(seed: int = 0, height: int = 90, width: int = 120) -> NDArray[np.uint8]:
    """[height, width, 3]: soft blobs with some grain."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int64)
    grained: NDArray[np.uint8] = np.clip(smooth + random.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)
    return grained


def thermal(seed: int = 0, height: int = 48, width: int = 64) -> NDArray[np.uint16]:
    """[height, width] of 16 bits, in a narrow range far from both ends, as thermal cameras give."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    warm = 300 * np.exp(-((rows - random.integers(10, 40)) ** 2 + (columns - random.integers(10, 50)) ** 2) / 150)
    frame: NDArray[np.uint16] = (13_000 + warm + columns * 2 + random.normal(0, 3, rows.shape)).round().astype(np.uint16)
    return frame


def write_pictures(folder: Path, groups: int = 3, each: int = 4) -> Path:
    """A folder of folders of pictures."""
    for group in range(groups):
        (folder / f"group{group}").mkdir(parents=True)
        for number in range(each):
            kind = ("jpg", "png", "webp")[number % 3]
            Image.fromarray(picture(10 * group + number)).save(folder / f"group{group}" / f"{number}.{kind}")
    return folder


def write_frames(folder: Path, count: int = 5, seed: int = 0) -> Path:
    """A folder of 16-bit frames."""
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(thermal(seed + number)).save(folder / f"frame{number:02d}.{'png' if number % 2 else 'tiff'}")
    return folder


def write_archive(path: Path, pictures: Mapping[str, NDArray[np.uint8]], annotations: Mapping[str, str] | None = None) -> Path:
    """A tar of PNG files by stem, and of their annotations; .gz by its name."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for stem, pixels in pictures.items():
            encoded = io.BytesIO()
            Image.fromarray(pixels).save(encoded, "png")
            members = {f"{stem}.png": encoded.getvalue()}
            if annotations and stem in annotations:
                members[f"{stem}.txt"] = annotations[stem].encode()
            for name, data in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def write_openvino(folder: Path, *, last: bool = False, byte: bool = False, batch: int = -1, outputs: int = 1) -> Path:
    """A strided convolution, tanh, the mean over places, and a product to 7 numbers: as an IR file."""
    import openvino
    from openvino import opset13 as ops

    random = np.random.default_rng(0)
    shape = [batch, OPENVINO_SIDE, OPENVINO_SIDE, 3] if last else [batch, 3, OPENVINO_SIDE, OPENVINO_SIDE]
    given = ops.parameter(shape, np.uint8 if byte else np.float32, name="pixels")
    values: Any = ops.convert(given, np.float32) if byte else given
    values = ops.transpose(values, np.array([0, 3, 1, 2])) if last else values
    kernel = random.normal(0, 0.01 if byte else 1, (24, 3, 8, 8)).astype(np.float32)
    map_ = ops.tanh(ops.convolution(values, kernel, [8, 8], [0, 0], [0, 0], [1, 1]), name="map")
    mean = ops.reduce_mean(map_, np.array([2, 3]), name="mean")
    head = ops.matmul(mean, random.normal(size=(24, 7)).astype(np.float32), False, False, name="head")
    found = [head, mean][:outputs]
    path = folder / "model.xml"
    openvino.save_model(openvino.Model(found, [given], "small"), str(path), compress_to_fp16=False)
    return path
