"""Vision models as encoders, on small ones that the test saves, against what transformers itself computes."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from transformers import (
    AutoImageProcessor,
    AutoModel,
    MobileViTImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from likewise.data.image_refs import ImageRef
from likewise.encoders.image import ImageEncoder
from likewise.encoders.image_preprocessing import ImagePreprocessing
from likewise.encoders.options import ImageEncoderOptions, PixelOptions
from likewise.errors import DataError, RecipeError
from likewise.testing.encoders import check_encoder
from likewise.types import Items
from likewise.vectors.extract import extract
from likewise.vectors.options import EmbedOptions
from small_images import MODELS, SIDE, picture, save_model, small_model, thermal

OWN = {"resnet": "pooler_output", "dinov2": "pooler_output", "vit": "pooler_output", "clip": None, "siglip": None}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in MODELS:
        save_model(folder, kind)
    return folder


def encoder(folder: Path, **given: Any) -> ImageEncoder:
    return ImageEncoder(ImageEncoderOptions(model=str(folder), **given)).eval()


@pytest.mark.parametrize("kind", MODELS)
def test_vectors_are_the_models_own_pooled_features(kind: str, models: Path) -> None:
    ours, pictures = encoder(models / kind), [picture(seed) for seed in range(3)]
    processor, model = AutoImageProcessor.from_pretrained(models / kind, backend="pil"), AutoModel.from_pretrained(models / kind)
    with torch.no_grad():
        pixels = torch.cat([processor(Image.fromarray(each), return_tensors="pt")["pixel_values"] for each in pictures])
        theirs = (
            model(pixel_values=pixels)[OWN[kind]] if OWN[kind] else model.get_image_features(pixel_values=pixels).pooler_output
        )
        found = ours(ours.prepare(pictures))
    expected = torch.nn.functional.normalize(theirs.flatten(1), dim=1)
    assert found.shape == (3, ours.dimension)
    assert float((found * expected).sum(dim=1).min()) > 0.9999


@pytest.mark.parametrize("kind", ["resnet", "dinov2", "clip"])
def test_the_contract_of_encoders(kind: str, models: Path, tmp_path: Path) -> None:
    check_encoder(lambda: encoder(models / kind), [picture(seed) for seed in range(5)], tmp_path)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("shape", [(300, 400), (700, 500), (40, 50), (56, 56)])
def test_pixels_are_those_of_the_models_processor(kind: str, shape: tuple[int, int]) -> None:
    _, processor = small_model(kind)
    ours = ImagePreprocessing.of(processor, kind)
    image = picture(1, *shape)
    theirs = np.asarray(processor(Image.fromarray(image), return_tensors="np")["pixel_values"][0])
    found = ours(image)
    levels = np.abs(found - theirs) * np.array(ours.std)[:, None, None] * 255
    assert found.shape == theirs.shape == (3, *ours.out)
    assert levels.max() < 1.01, "no pixel differs by more than its rounding"
    assert levels.mean() < 0.01


def test_pooling(models: Path) -> None:
    image = [picture()]
    found = {way: encoder(models / "dinov2", pooling=way) for way in ("cls", "mean", "patches", "pooler")}
    vectors = {way: each(each.prepare(image)).detach() for way, each in found.items()}
    assert vectors["patches"].shape[1] == 2 * vectors["mean"].shape[1]
    assert len({tuple(vector[0, :8].tolist()) for vector in vectors.values()}) >= 3
    assert len({each.space for each in found.values()}) == 4
    ours = found["patches"]
    tokens = ours.model(pixel_values=ours.prepare(image)).last_hidden_state[:, 1:].detach()  # without the class token
    expected = torch.cat([tokens.mean(dim=1), tokens.std(dim=1)], dim=1)
    torch.testing.assert_close(vectors["patches"], torch.nn.functional.normalize(expected, dim=1))
    with pytest.raises(RecipeError, match=r"resnet.* has no class token"):
        encoder(models / "resnet", pooling="cls")


def test_frames_of_16_bits_keep_their_values_up_to_the_model(models: Path) -> None:
    frame, ours = thermal(), encoder(models / "vit")
    pixels = ours.frame(frame)
    assert pixels.dtype == np.float32
    assert len(np.unique(pixels)) == len(np.unique(frame)) > 256
    assert (pixels.min(), pixels.max()) == (0, 1)
    same = [ours(ours.prepare([thermal(seed)])).detach() for seed in (0, 1)]
    assert float((same[0] * same[1]).sum()) < 1 - 1e-4, "different frames have different vectors"


def test_windows(models: Path) -> None:
    def frames(**pixels: Any) -> np.ndarray:
        ours = encoder(models / "vit", pixels=PixelOptions(**pixels))
        shards = [Items("a", ["1"], [None], {"lowest": [12_000.0], "highest": [14_000.0]})]
        values: np.ndarray = ours.fit(shards).frame(thermal())
        return values

    frame = thermal().astype(np.float64)
    np.testing.assert_allclose(frames(window="data"), (frame - 12_000) / 2_000, atol=1e-6)
    np.testing.assert_allclose(frames(window="limits", limits=(10_000, 20_000)), (frame - 10_000) / 10_000, atol=1e-6)
    cut = frames(window="frame", percentiles=(5, 95))
    assert 0.02 < (cut == 0).mean() < 0.08
    ours = encoder(models / "vit", pixels=PixelOptions(window="frame", percentiles=(5, 95)))
    assert ours.remarks() == []
    ours.prepare([thermal(), picture()])
    (told,) = ours.remarks()
    assert re.match(r"The window cut off values in 1 frame \((9|10)\.\d\d% of the pixels of one channel\)", told)
    np.testing.assert_allclose(frames(gamma=2.0), frames() ** 2, atol=1e-6)
    assert not np.allclose(frames(clahe=2.0), frames())
    assert (
        ImageEncoder(ImageEncoderOptions(model=str(models / "vit"), pixels=PixelOptions(gamma=2.0))).space
        != encoder(models / "vit").space
    )
    with pytest.raises(ValueError, match="go together"):
        PixelOptions(window="limits")
    with pytest.raises(DataError, match="no picture of one channel"):
        encoder(models / "vit", pixels=PixelOptions(window="data")).fit(
            [Items("a", ["1"], [None], {"lowest": [np.nan], "highest": [np.nan]})]
        )


def test_what_was_fitted_is_kept(models: Path, tmp_path: Path) -> None:
    given = ImageEncoderOptions(model=str(models / "vit"), pixels=PixelOptions(window="data"))
    ours = ImageEncoder(given).fit([Items("a", ["1"], [None], {"lowest": [0.0], "highest": [20_000.0]})])
    ours.save(tmp_path / "saved")
    again = ImageEncoder.load(tmp_path / "saved", given)
    assert again.window == ours.window
    assert again.space == ours.space
    moved = tmp_path / "moved"
    shutil.copytree(models / "vit", moved)
    assert encoder(moved).space == encoder(models / "vit").space, "where the model lies does not matter"


def test_pictures_come_as_references_bytes_arrays_and_pil(models: Path, tmp_path: Path) -> None:
    ours, image = encoder(models / "dinov2"), picture()
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "png")
    (tmp_path / "a.png").write_bytes(encoded.getvalue())
    ref = ImageRef.of_bytes(encoded.getvalue())
    kept = ImageRef(ref.key, path=str(tmp_path / "a.png"))
    frames = [ours.frame(each) for each in (image, Image.fromarray(image), encoded.getvalue(), ref, kept)]
    assert all(np.array_equal(frame, image) for frame in frames)
    (tmp_path / "a.png").write_bytes(encoded.getvalue() + b" ")
    with pytest.raises(DataError, match=r"a\.png has changed since it was read in"):
        ours.frame(kept)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        ours.frame(kept)


def test_large_jpegs_are_decoded_no_larger_than_needed(models: Path) -> None:
    ours, encoded = encoder(models / "vit"), io.BytesIO()
    Image.fromarray(picture(0, 900, 1200)).save(encoded, "jpeg", quality=95)
    assert min(ours.frame(encoded.getvalue()).shape[:2]) < 250
    whole = np.asarray(Image.open(io.BytesIO(encoded.getvalue())))
    vectors = ours(ours.prepare([encoded.getvalue(), whole])).detach()
    assert float(vectors[0] @ vectors[1]) > 0.999


def test_a_model_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("likewise.encoders.hub.hub_answers", lambda: False)
    with pytest.raises(DataError, match=r'model = "nobody/nothing" is neither a folder here nor'):
        ImageEncoder(ImageEncoderOptions(model="nobody/nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"is here but cannot be opened .*; give a folder that save_pretrained wrote"):
        ImageEncoder(ImageEncoderOptions(model=str(tmp_path / "empty")))


def test_a_classifier_without_a_pooler_gives_the_mean_and_no_random_vectors(tmp_path: Path) -> None:
    config = ViTConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=8)
    torch.manual_seed(0)
    ViTForImageClassification(config).save_pretrained(tmp_path / "classifier")
    ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(tmp_path / "classifier")
    one, other = (ImageEncoder(ImageEncoderOptions(model=str(tmp_path / "classifier"))).eval() for _ in range(2))
    assert one.space == other.space
    assert one.remarks() == ["The model has no weights of its pooler: the mean of all tokens is taken."]
    vectors = one(one.prepare([picture(0)]))
    torch.testing.assert_close(vectors, other(other.prepare([picture(0)])))
    mean = ImageEncoder(ImageEncoderOptions(model=str(tmp_path / "classifier"), pooling="mean")).eval()
    torch.testing.assert_close(vectors, mean(mean.prepare([picture(0)])))
    one.save(tmp_path / "saved")
    again = ImageEncoder.load(tmp_path / "saved", one.options).eval()
    torch.testing.assert_close(again(again.prepare([picture(0)])), vectors)
    with pytest.raises(RecipeError, match=r'pooling = "pooler", but .* has no pooler'):
        ImageEncoder(ImageEncoderOptions(model=str(tmp_path / "classifier"), pooling="pooler"))


def test_weights_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    right, wrong = save_model(tmp_path / "right", "dinov2"), save_model(tmp_path / "wrong", "resnet")
    shutil.copy(wrong / "model.safetensors", right / "model.safetensors")
    with pytest.raises(DataError, match=r"has no weights for \d+ of its tensors, such as .*, which would be random"):
        ImageEncoder(ImageEncoderOptions(model=str(right)))


def test_a_processor_that_does_more_is_refused(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "vit")
    MobileViTImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    with pytest.raises(DataError, match="prepares its pictures in a way that is not known here"):
        ImageEncoder(ImageEncoderOptions(model=str(folder)))


def test_a_window_beside_the_values_is_refused_and_named(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(7000, 9000, (40, 40)).astype(np.uint16)
    Image.fromarray(frame).save(tmp_path / "frame.png")
    options = {"model": str(save_model(tmp_path, "vit")), "pixels": PixelOptions(window="limits", limits=(0, 100))}
    ref = ImageRef.of_bytes((tmp_path / "frame.png").read_bytes(), "frame.png")
    with pytest.raises(DataError, match=r"frame\.png: The window from 0 to 100 leaves one value of a frame from 7\d+ to [89]\d+"):
        ImageEncoder(ImageEncoderOptions(**options)).prepare([ref])
    constant = np.full((40, 40), 7000, np.uint16)
    assert ImageEncoder(ImageEncoderOptions(**options)).prepare([constant]).shape[0] == 1
    with pytest.raises(ValidationError, match='percentiles have an effect with window = "frame" only'):
        PixelOptions(percentiles=(1, 99))


def test_what_a_window_cuts_off_is_said_by_extract_too(tmp_path: Path) -> None:
    options = {"model": str(save_model(tmp_path, "vit")), "pixels": PixelOptions(window="limits", limits=(7500, 8000))}
    frame = np.random.default_rng(0).integers(7000, 9000, (40, 40)).astype(np.uint16)
    said: list[str] = []
    extract(ImageEncoder(ImageEncoderOptions(**options)).eval(), [frame], say=said.append)
    assert any("The window cut off values in" in sentence for sentence in said)


def test_frames_that_a_window_cuts_are_counted_once(tmp_path: Path) -> None:
    options = {"model": str(save_model(tmp_path, "vit")), "pixels": PixelOptions(window="frame", percentiles=(5, 95))}
    said: list[str] = []
    frames = [thermal(seed) for seed in range(5)]
    extract(
        ImageEncoder(ImageEncoderOptions(**options)).eval(), frames, options=EmbedOptions(precision="bfloat16"), say=said.append
    )
    (told,) = [sentence for sentence in said if "cut off" in sentence]
    assert told.startswith("The window cut off values in 5 frames")
