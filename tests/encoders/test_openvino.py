"""Models in files, run by OpenVINO: small ones that the test builds and saves."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from likewise.encoders.openvino import OpenVINOEncoder
from likewise.encoders.options import OpenVINOEncoderOptions, PixelOptions
from likewise.errors import DataError, MissingExtra
from small_images import OPENVINO_SIDE as SIDE
from small_images import picture, thermal, write_openvino

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'likewise[openvino]'")


def encoder(path: Path, **given: Any) -> OpenVINOEncoder:
    return OpenVINOEncoder(OpenVINOEncoderOptions(model=str(path), **given))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("batch", [-1, 1])
def test_vectors_are_of_unit_length_and_do_not_depend_on_the_batch(last: bool, batch: int, tmp_path: Path) -> None:
    path = write_openvino(tmp_path, last=last, batch=batch)
    ours = encoder(path)
    vectors = ours(ours.prepare([picture(seed) for seed in range(5)]))
    assert vectors.shape == (5, 7)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))
    one = torch.cat([ours(ours.prepare([picture(seed)])) for seed in range(5)])
    torch.testing.assert_close(vectors, one, atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", [-1, 1])
def test_threads_compute_side_by_side(batch: int, tmp_path: Path) -> None:
    ours = encoder(write_openvino(tmp_path, batch=batch))
    prepared = [ours.prepare([picture(seed), picture(seed + 1)]) for seed in range(4)]
    alone = [ours(each) for each in prepared]
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: [ours(each) for each in prepared], range(20)):
            assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


def test_any_tensor_inside_can_be_the_vector(tmp_path: Path) -> None:
    path, pictures = write_openvino(tmp_path), [picture(seed) for seed in range(3)]
    by_name, by_kind, whole = encoder(path, output="mean"), encoder(path, output="ReduceMean"), encoder(path, output="map")
    vectors = by_name(by_name.prepare(pictures))
    assert vectors.shape == (3, 24)
    for other in (by_kind, whole):  # the map is averaged over places, which the mean is already
        torch.testing.assert_close(vectors, other(other.prepare(pictures)), atol=1e-5, rtol=0)
    assert len({by_name.space, encoder(path).space}) == 2
    with pytest.raises(DataError, match=r'no tensor, operation or kind of operation called "pooled"; .*Convolution'):
        encoder(path, output="pooled")
    two = write_openvino(tmp_path, outputs=2)
    with pytest.raises(DataError, match="has several outputs"):
        encoder(two)


def test_models_that_take_bytes_get_pixels_as_they_are(tmp_path: Path) -> None:
    ours = encoder(write_openvino(tmp_path, last=True, byte=True), resize="stretch")
    pixels = ours.prepare([picture()])
    assert (pixels.min() >= 0, pixels.max() > 100, pixels.shape) == (True, True, (1, 3, SIDE, SIDE))
    assert ours(pixels).shape == (1, 7)
    frame = ours.prepare([thermal()])
    assert 200 < float(frame.max()) <= 255


def test_every_option_matters(tmp_path: Path) -> None:
    path = write_openvino(tmp_path)
    base = encoder(path)
    for change in (
        {"resize": "stretch"},
        {"resample": "bicubic"},
        {"scale": 1.0},
        {"mean": (0, 0, 0)},
        {"std": (1, 1, 1)},
        {"precision": "bfloat16"},
    ):
        other = encoder(path, **change)
        assert other.space != base.space, change
        if "precision" not in change:
            assert not torch.equal(other.prepare([picture()]), base.prepare([picture()])), change
    gamma = encoder(path, pixels=PixelOptions(gamma=2.0))
    assert not torch.equal(gamma.prepare([thermal()]), base.prepare([thermal()]))
    with pytest.raises(ValueError, match="give limits"):
        OpenVINOEncoderOptions(model="x.onnx", pixels=PixelOptions(window="data"))


def test_it_is_kept_and_carried_to_other_processes(tmp_path: Path) -> None:
    ours = encoder(write_openvino(tmp_path))
    vectors = ours(ours.prepare([picture()]))
    ours.save(tmp_path / "saved")
    space, key = ours.space, ours.key("document")
    (tmp_path / "model.xml").unlink()
    again = OpenVINOEncoder.load(tmp_path / "saved", ours.options)
    assert (again.space, again.key("document")) == (space, key)
    torch.testing.assert_close(again(again.prepare([picture()])), vectors)
    copied = pickle.loads(pickle.dumps(again))
    torch.testing.assert_close(copied(copied.prepare([picture()])), vectors)


def test_what_is_no_such_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"is not a file that ends in \.onnx, \.xml, \.tflite"):
        encoder(tmp_path / "nowhere.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.onnx.* cannot be read"):
        encoder(tmp_path / "bad.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"likewise\[openvino\]"):
        encoder(write_openvino(tmp_path))
