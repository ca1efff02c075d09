"""Large photographs → vectors: `likewise.vectors.extract` against transformers' image processor and the model in float32.

The workload "large photographs": 2000 × 1500 JPEGs. Two shapes of model, ResNet-50 and DINOv2-S, with random weights (nothing is
downloaded; speed does not depend on them). Both sides open files and give float32 arrays; models are open already. Ours by torch
alone and by OpenVINO. Also tells how long decoding and the forward pass alone take, which together are the limit of one thread.

The last line is the worst of the figures that have a goal, compared with its goal.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, BitImageProcessor, Dinov2Config, Dinov2Model, ResNetConfig, ResNetModel
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil

from harness import arguments, machine, peak_memory, result, timed
from likewise.data.image_refs import ImageRef, image_digest
from likewise.encoders.image import ImageEncoder
from likewise.encoders.options import ImageEncoderOptions
from likewise.types import Float32
from likewise.vectors.extract import extract
from likewise.vectors.options import Backend, EmbedOptions
from workloads import large_photographs

GOALS: dict[Backend, float] = {"torch": 2.5, "openvino": 4.0}
LEAST_COSINE = 0.9999
PHOTOGRAPHS, QUICK = 256, 6
BATCH = 16  # of the peer
MODELS = ("resnet50", "dinov2s")


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured rate beside the peer's, in pictures per second."""

    name: str
    ours: float
    peer: float
    goal: float

    @property
    def of_goal(self) -> float:
        return self.ours / self.peer / self.goal


def saved_model(name: str, folder: Path) -> Path:
    """A model of the published shape with random weights, and its processor, as `save_pretrained` writes them."""
    torch.manual_seed(0)
    if name == "resnet50":
        model, processor = ResNetModel(ResNetConfig()), ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=0.875)
    else:
        config = Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14)
        model = Dinov2Model(config)
        processor = BitImageProcessor(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224})
    model.save_pretrained(folder / name)
    processor.save_pretrained(folder / name)
    return folder / name


def peer(folder: Path) -> Callable[[list[Path]], Float32]:
    """What a user of transformers writes."""
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def work(paths: list[Path]) -> Float32:
        found = []
        for start in range(0, len(paths), BATCH):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + BATCH]]
            out = model(**processor(images, return_tensors="pt"))
            found.append(torch.nn.functional.normalize(out.pooler_output.flatten(1), dim=1))
        return torch.cat(found).numpy()

    return work


def measured(name: str, folder: Path, paths: list[Path], repeat: int) -> list[Figure]:
    """Our rates by each backend, beside the peer's."""
    stored = str(saved_model(name, folder))
    began = time.perf_counter()
    encoder = ImageEncoder(ImageEncoderOptions(model=stored)).eval()
    extract(encoder, [ImageRef(image_digest(paths[0].read_bytes()), path=str(paths[0]))])
    print(f"{name}: {time.perf_counter() - began:.2f} s from opening the model to the first vector")
    theirs = peer(folder / name)
    refs = [ImageRef(image_digest(path.read_bytes()), path=str(path)) for path in paths]

    def ours(backend: Backend) -> Float32:
        said: list[str] = []
        vectors = extract(encoder, refs, options=EmbedOptions(backend=backend), say=said.append)
        if said:
            print("  " + " ".join(said))
        return vectors

    backends = list(GOALS)
    for backend in backends:
        ours(backend)  # OpenVINO converts the model once
    theirs(paths[:2])
    exact, *runs = timed(lambda: theirs(paths), *(lambda backend=backend: ours(backend) for backend in backends), repeat=repeat)
    decode, forward = alone(encoder, refs)
    print(f"{name}: transformers {len(paths) / exact.seconds:.1f} pictures/s, {exact.seconds:.2f} s")
    rates = f"decoding and preparing alone {len(paths) / decode:.1f}/s in one thread"
    print(f"  {rates}; forward in float32 alone {len(paths) / forward:.1f}/s")
    reference = extract(encoder, refs, options=EmbedOptions(backend="torch", precision="float32"))
    figures = []
    for backend, run in zip(backends, runs, strict=True):
        cosine = float((run.value * reference).sum(axis=1).min())
        rate = len(paths) / run.seconds
        times = f"{rate:.1f} pictures/s, {exact.seconds / run.seconds:.2f}×"
        print(f"  likewise by {backend}: {times}; least cosine to float32 {cosine:.6f}")
        if cosine < LEAST_COSINE:
            raise SystemExit(f"The vectors differ: least cosine {cosine:.6f}, {LEAST_COSINE} was to be kept.")
        title = f"image extraction, {name} by {backend}, pictures/s"
        figures.append(Figure(title, rate, len(paths) / exact.seconds, GOALS[backend]))
    to_peer = (reference * exact.value).sum(axis=1)
    told = f"least {to_peer.min():.4f}, mean {to_peer.mean():.4f}"
    print(f"  cosine to transformers' vectors: {told} (we decode no larger than needed)")
    return figures


def alone(encoder: ImageEncoder, refs: list[ImageRef]) -> tuple[float, float]:
    """Seconds to decode and prepare all pictures in one thread, and to compute them in float32."""
    start = time.perf_counter()
    prepared = [encoder.prepare([ref]) for ref in refs]
    decoded = time.perf_counter()
    with torch.inference_mode():
        for place in range(0, len(prepared), BATCH):
            encoder(torch.cat(prepared[place : place + BATCH]))
    return decoded - start, time.perf_counter() - decoded


def main() -> None:
    given = arguments(__doc__, extend=more)
    torch.set_num_threads(given.threads)
    print(machine())
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as place:
        paths = large_photographs(Path(place) / "photographs", QUICK if given.quick else PHOTOGRAPHS)
        size = sum(map(os.path.getsize, paths)) / len(paths) / 1e6
        print(f"{len(paths)} JPEGs of 2000 × 1500, {size:.2f} MB each; {given.threads} threads")
        for name in given.models:
            figures += measured(name, Path(place), paths, given.repeat)
    print(f"peak memory {peak_memory() / 2**30:.2f} GiB")
    for figure in sorted(figures, key=lambda figure: -figure.of_goal):
        result(figure.name, figure.ours, figure.peer, figure.goal, higher_is_better=True, gated=not given.quick)


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="which shapes")


if __name__ == "__main__":
    main()
