"""A small network for pictures, from scratch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.encoders.convolutional import ConvolutionalEncoder
from likewise.encoders.options import ConvolutionalEncoderOptions
from likewise.testing.encoders import check_encoder
from likewise.types import Items
from small_images import picture, thermal

SMALL = {"size": 16, "widths": (8, 16), "dimension": 6}


def made(**options: object) -> ConvolutionalEncoder:
    return ConvolutionalEncoder(ConvolutionalEncoderOptions.model_validate({**SMALL, **options})).eval()


def test_contract(tmp_path: Path) -> None:
    check_encoder(made, [picture(seed) for seed in range(12)], tmp_path / "model")


def test_weights_are_of_their_seed_and_leave_the_generators_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = made(), made(), made(seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert one.space == same.space != other.space


def test_window_over_all_frames_is_kept_with_the_weights(tmp_path: Path) -> None:
    frames = [thermal(seed) for seed in range(4)]
    lowest, highest = ([float(work(frame)) for frame in frames] for work in (np.min, np.max))
    columns = {"lowest": lowest, "highest": highest}
    items = Items("frames", [str(n) for n in range(4)], frames, columns)
    encoder = made(pixels={"window": "data"}).fit([items])
    assert encoder.window is not None
    assert (encoder.window.low, encoder.window.high) == (min(lowest), max(highest))
    encoder.save(tmp_path / "model")
    again = ConvolutionalEncoder.load(tmp_path / "model", encoder.options)
    assert again.window == encoder.window
    with torch.inference_mode():
        assert torch.equal(again.eval()(again.prepare(frames)), encoder(encoder.prepare(frames)))


@pytest.mark.parametrize("size", [8, 33])
def test_any_size(size: int) -> None:
    encoder = made(size=size)
    prepared = encoder.prepare([picture(0), picture(1, height=50, width=40)])
    assert prepared.shape == (2, 3, size, size)
    assert -1 <= prepared.min() < prepared.max() <= 1
    assert encoder(prepared).shape == (2, 6)
