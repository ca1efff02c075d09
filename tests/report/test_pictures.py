"""What the page shows of pictures: small ones of any kind, and vectors beside a reference."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likewise.data.image_refs import ImageRef
from likewise.errors import DataError
from likewise.report.picture_reading import _reference, thumbnail


def shown(ref: ImageRef, **given: int) -> np.ndarray:
    """The grey values of a thumbnail."""
    uri = thumbnail(ref, "name", **given).uri
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))).convert("L"))


def saved(path: Path, *pages: np.ndarray) -> ImageRef:
    images = [Image.fromarray(page) for page in pages]
    images[0].save(path, save_all=len(images) > 1, append_images=images[1:])
    return ImageRef.of_bytes(path.read_bytes(), str(path))


def test_a_broken_pixel_does_not_darken_a_frame(tmp_path: Path) -> None:
    frame = np.linspace(280, 320, 64 * 64, dtype=np.float32).reshape(64, 64)
    frame[3, 3] = 1e12
    pixels = shown(saved(tmp_path / "frame.tiff", frame))
    assert pixels.min() < 30
    assert pixels.max() > 225
    assert 100 < pixels.mean() < 155


def test_a_uniform_frame_and_a_later_page(tmp_path: Path) -> None:
    dark, bright = np.zeros((40, 40), np.uint16), np.tile(np.arange(40, dtype=np.uint16) * 100, (40, 1))
    ref = saved(tmp_path / "pages.tiff", dark, bright)
    assert shown(ref).max() == 0
    assert np.ptp(shown(ref, frame=1)) > 200


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (np.zeros((3, 5), np.float32), r"reference\.npy holds float32 \[3, 5\]; give vectors \[R, 4\]"),
        (np.zeros(4, np.float32), r"holds float32 \[4\]"),
        (np.zeros((0, 4), np.float32), r"holds float32 \[0, 4\]"),
        (np.array([["a"] * 4]), "holds <U1"),
        (np.array([[1, 0, 0, 0], [np.nan, 0, 0, 1]], np.float32), "1 rows that are zero or not finite, the first 1"),
        (np.float32(3), "holds float32"),
        (b"nothing", "cannot be read"),
        (b"", "cannot be read"),
        ({"a": np.zeros((2, 4), np.float32)}, "holds several arrays"),
    ],
)
def test_a_reference_that_is_none(content: object, told: str, tmp_path: Path) -> None:
    path = tmp_path / "reference.npy"
    if isinstance(content, dict):
        with path.open("wb") as file:
            np.savez(file, **content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, np.asarray(content))
    with pytest.raises(DataError, match=told):
        _reference(str(path), 4)
