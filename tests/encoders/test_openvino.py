"""Models in files, run by OpenVINO: small ones that the test builds and saves."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likewise.encoders.openvino import OpenVINOEncoder
from likewise.encoders.options import OpenVINOEncoderOptions, PixelOptions
from likewise.errors import DataError, MissingExtra, RecipeError
from likewise.types import Int64
from likewise.vectors.backends import Settled
from likewise.vectors.extract import Extraction, extract
from likewise.vectors.options import EmbedOptions
from likewise.vectors.precision import least_cosine
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


@pytest.mark.parametrize(("shape", "dimension"), [((5, 8, 8), 5), ((8, 8, 5), 5), ((4, 16, 16), 4), ((3, 9), 9), ((6,), 6)])
def test_maps_and_tokens_are_averaged_over_places(shape: tuple[int, ...], dimension: int, tmp_path: Path) -> None:
    """Also where a map is larger than its channels are many."""
    import openvino
    from openvino import opset13 as ops

    given = ops.parameter([1, 3, 16, 16], np.float32)
    values = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    nothing = ops.multiply(ops.reduce_mean(given, np.array([0, 1, 2, 3])), np.float32(0))
    path = tmp_path / "constant.xml"
    openvino.save_model(openvino.Model([ops.add(nothing, values)], [given], "constant"), str(path), compress_to_fp16=False)
    ours = encoder(path)
    assert ours.dimension == dimension
    places = {(5, 8, 8): (2, 3), (8, 8, 5): (1, 2), (4, 16, 16): (2, 3), (3, 9): 1, (6,): ()}[shape]
    expected = torch.nn.functional.normalize(torch.from_numpy(values.mean(axis=places)), dim=1)
    torch.testing.assert_close(ours(torch.zeros(1, 3, 16, 16)), expected, atol=1e-6, rtol=0)


def test_inputs_that_would_be_misread_are_refused(tmp_path: Path) -> None:
    import openvino
    from openvino import PartialShape
    from openvino import opset13 as ops

    def saved(name: str, given: Any) -> Path:
        model = openvino.Model([ops.reduce_mean(ops.convert(given, np.float32), np.array([1, 2]))], [given], name)
        openvino.save_model(model, str(tmp_path / f"{name}.xml"), compress_to_fp16=False)
        return tmp_path / f"{name}.xml"

    with pytest.raises(DataError, match="takes int8; export it with an input of float32 or uint8"):
        encoder(saved("signed", ops.parameter([1, 3, 16, 16], np.int8)))
    with pytest.raises(DataError, match="not pictures of three channels"):
        encoder(saved("any", ops.parameter(PartialShape.dynamic(), np.float32)))


def test_onnx_files_with_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    """As protocol buffers write an entry of `external_data`: its key, then its value."""
    (tmp_path / "half.onnx").write_bytes(b"\x08\x08" + b"\x6a\x19\x0a\x08location\x12\x0dhalf.onnx.dat")
    with pytest.raises(DataError, match="keeps its weights in another file; save it whole"):
        encoder(tmp_path / "half.onnx")


def test_it_is_not_traced_by_another_backend_and_says_what_computes(tmp_path: Path) -> None:
    ours = encoder(write_openvino(tmp_path), precision="bfloat16")
    for wanted in ({"backend": "openvino"}, {"backend": "compiled"}, {"precision": "bfloat16"}):
        with pytest.raises(RecipeError, match="brings its own runtime"):
            extract(ours, [picture(0)], options=EmbedOptions(**wanted))
    work = Extraction(ours, lambda rows: [picture(row) for row in rows], np.ones(33, np.int8), EmbedOptions(), say=print)
    assert work.described().startswith("in bfloat16 by openvino")
    assert "least cosine to float32 on a sample" in work.described()
    assert (work.space()["precision"], work.space()["backend"].split()[0]) == ("bfloat16", "openvino")


def test_its_bfloat16_is_compared_with_float32_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, pictures, said = write_openvino(tmp_path), [picture(seed) for seed in range(33)], []

    def fetch(rows: Int64) -> list[Any]:
        return [pictures[row] for row in rows]

    def settled(precision: str) -> Settled:
        ours = encoder(path, precision=precision)
        return Extraction(ours, fetch, np.ones(len(pictures), np.int8), EmbedOptions(), say=said.append).settled

    found = settled("bfloat16")
    other, plain = (each(each.prepare(pictures)) for each in (encoder(path, precision="bfloat16"), encoder(path)))
    assert found.cosine is not None
    assert least_cosine(other, plain) <= found.cosine + 1e-6
    assert found.cosine < 1 or torch.equal(other, plain)
    assert not said
    monkeypatch.setattr("likewise.vectors.backends.COSINE_TO_FLOAT32", 1.1)
    assert settled("bfloat16") == found
    assert "used because the recipe says so" in said[0]
    assert settled("float32").cosine is None
    pictures = pictures[:3]
    assert settled("bfloat16").cosine is None, "few are not worth a second model"
    assert len(said) == 1


COLLECTED = """
import gc, os, signal, sys
from likewise.encoders.openvino import OpenVINOEncoder
from likewise.encoders.options import OpenVINOEncoderOptions

first, second = (OpenVINOEncoder(OpenVINOEncoderOptions(model=sys.argv[1])) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGTERM, lambda *given: print("heard", flush=True))
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_after_models_were_collected_is_heard(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", COLLECTED, str(write_openvino(tmp_path))], capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, "heard\n"), told.stderr
