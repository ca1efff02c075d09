"""Image towers of OpenCLIP, on small models that the test builds and saves, against what open_clip itself computes."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

if TYPE_CHECKING:
    from likewise.encoders.openclip import OpenCLIPEncoder

if importlib.util.find_spec("open_clip") is None:
    pytest.skip("OpenCLIP is not installed: pip install 'likewise[openclip]'", allow_module_level=True)

SIDE = 56
TEXT = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
TRANSFORMER = {"image_size": SIDE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 14}
MODELS: dict[str, dict[str, Any]] = {
    "tiny-vit": {"embed_dim": 24, "vision_cfg": TRANSFORMER, "text_cfg": TEXT},
    "tiny-wide": {"embed_dim": 24, "vision_cfg": {**TRANSFORMER, "image_size": [56, 84]}, "text_cfg": TEXT, "quick_gelu": True},
    "tiny-resnet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": TEXT,
    },
    "tiny-timm": {
        "embed_dim": 24,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear", "image_size": 160},
        "text_cfg": TEXT,
        "custom_text": True,
    },
}
SQUASHED = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear", "resize_mode": "squash"}
SHAPES = [(300, 401), (703, 500), (40, 50), (56, 56), (97, 131)]


@pytest.fixture(scope="module")
def open_clip() -> Iterator[ModuleType]:
    """The package. torchvision, which it imports, has its compiled operators only beside the torch that it was built for; no
    model here calls one, but they must be declared."""
    library = None
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield importlib.import_module("open_clip")
    del library


@pytest.fixture(scope="module")
def models(open_clip: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NAME.json, which OpenCLIP then knows by its name, and NAME.safetensors."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("openclip")
    for seed, (name, config) in enumerate(MODELS.items()):
        (folder / f"{name}.json").write_text(json.dumps(config), encoding="utf-8")
        open_clip.add_model_config(folder / f"{name}.json")
        torch.manual_seed(seed)
        save_file(open_clip.create_model(name).state_dict(), folder / f"{name}.safetensors")
    return folder


def encoder(models: Path, name: str = "tiny-vit", **given: Any) -> OpenCLIPEncoder:
    from likewise.encoders.openclip import OpenCLIPEncoder
    from likewise.encoders.options import OpenCLIPEncoderOptions

    given = {"pretrained": str(models / f"{name}.safetensors"), **given}
    return OpenCLIPEncoder(OpenCLIPEncoderOptions(model=given.pop("model", name), **given)).eval()


def in_folder(models: Path, folder: Path, name: str, preprocess: Mapping[str, Any]) -> Path:
    """A model's folder as OpenCLIP takes it."""
    folder.mkdir()
    config = {"model_cfg": MODELS[name], "preprocess_cfg": dict(preprocess)}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "open_clip_model.safetensors").write_bytes((models / f"{name}.safetensors").read_bytes())
    return folder


def picture(seed: int = 0, height: int = 90, width: int = 120) -> np.ndarray:
    from small_images import picture as made

    return made(seed, height, width)


def thermal() -> np.ndarray:
    from small_images import thermal as made

    return made()


@pytest.mark.parametrize("name", MODELS)
def test_vectors_are_those_of_encode_image(name: str, models: Path, open_clip: ModuleType) -> None:
    ours = encoder(models, name)
    model, _, preprocess = open_clip.create_model_and_transforms(name, str(models / f"{name}.safetensors"))
    pictures = [picture(seed, *shape) for seed, shape in enumerate(SHAPES)]
    with torch.no_grad():
        theirs = model.eval().encode_image(torch.stack([preprocess(Image.fromarray(each)) for each in pictures]), normalize=True)
        found = ours(ours.prepare(pictures))
    assert found.shape == (len(pictures), 24)
    assert float((found * theirs).sum(dim=1).min()) > 0.9999
    rounding, apart = (found - theirs).norm(dim=1).max(), torch.pdist(theirs).min()
    assert rounding < apart / 10, "and nearer than any two pictures are to each other"


@pytest.mark.parametrize("preprocess", [{}, SQUASHED, {"resize_mode": "longest", "fill_color": 90}])
@pytest.mark.parametrize("name", ["tiny-vit", "tiny-wide"])
@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_are_those_of_its_transform(
    shape: tuple[int, int], name: str, preprocess: dict[str, Any], models: Path, open_clip: ModuleType, tmp_path: Path
) -> None:
    folder = in_folder(models, tmp_path / "model", name, preprocess)
    ours = encoder(models, model=str(folder), pretrained=None)
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    image = picture(1, *shape)
    theirs, found = transform(Image.fromarray(image)), ours.prepare([image])[0]
    levels = (found - theirs).abs() * torch.tensor(ours.processing.std)[:, None, None] * 255
    assert found.shape == theirs.shape
    assert levels.max() < 1.01, "no pixel differs by more than its rounding"
    assert levels.mean() < 0.02


@pytest.mark.parametrize("name", MODELS)
def test_the_contract_of_encoders(name: str, models: Path, tmp_path: Path) -> None:
    from likewise.testing.encoders import check_encoder

    check_encoder(lambda: encoder(models, name), [picture(seed) for seed in range(5)], tmp_path)


def test_the_image_tower_alone_is_kept_and_carried_to_other_processes(models: Path, tmp_path: Path) -> None:
    from likewise.encoders.openclip import OpenCLIPEncoder
    from likewise.encoders.options import PixelOptions
    from likewise.types import Items

    ours = encoder(models, pixels=PixelOptions(window="data"))
    ours.fit([Items("a", ["1"], [None], {"lowest": [12_000.0], "highest": [14_000.0]})])
    assert not any("token_embedding" in name for name, _ in ours.named_parameters()), "no text tower"
    ours.save(tmp_path / "saved")
    options = ours.options.model_copy(update={"model": "nowhere", "pretrained": "nowhere"})
    again = OpenCLIPEncoder.load(tmp_path / "saved", options)
    assert (again.space, again.window) == (ours.space, ours.window)
    copied = pickle.loads(pickle.dumps(again))
    pixels = ours.prepare([picture(), thermal()])
    with torch.no_grad():
        assert torch.equal(copied(copied.prepare([picture(), thermal()])), ours(pixels))


def test_frames_of_16_bits_keep_their_values_up_to_the_model(models: Path, tmp_path: Path) -> None:
    from likewise.encoders.options import PixelOptions

    frame = thermal()
    for way, preprocess in (("shortest", {}), ("longest", {"resize_mode": "longest", "fill_color": 255})):
        folder = in_folder(models, tmp_path / way, "tiny-vit", preprocess)
        ours = encoder(models, model=str(folder), pretrained=None, pixels=PixelOptions(window="frame"))
        pixels = ours.prepare([frame])[0]
        assert len(torch.unique(pixels[0])) > 256
        spread = (pixels * torch.tensor(ours.processing.std)[:, None, None]).amax((1, 2)) + torch.tensor(ours.processing.mean)
        torch.testing.assert_close(spread, torch.ones(3), atol=0.06, rtol=0)
    cut = encoder(models, pixels=PixelOptions(window="frame", percentiles=(5, 95)))
    cut.prepare([frame])
    assert len(cut.remarks()) == 1


def test_large_jpegs_are_decoded_no_larger_than_needed(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = io.BytesIO()
    Image.fromarray(picture(0, 900, 1200)).save(encoded, "jpeg", quality=95)
    ours = encoder(models)
    assert ours.frame(encoded.getvalue()).shape[0] < 250
    whole = np.asarray(Image.open(io.BytesIO(encoded.getvalue())))
    vectors = ours(ours.prepare([encoded.getvalue(), whole])).detach()
    assert float(vectors[0] @ vectors[1]) > 0.999


def test_what_changes_vectors_changes_the_space_or_the_key(models: Path, tmp_path: Path) -> None:
    from likewise.encoders.options import PixelOptions

    plain = encoder(models)
    folder = in_folder(models, tmp_path / "same", "tiny-vit", {})
    assert encoder(models, model=str(folder), pretrained=None).space == plain.space, "where the model comes from does not matter"
    squashed = in_folder(models, tmp_path / "squashed", "tiny-vit", SQUASHED)
    others = [
        encoder(models, model=str(squashed), pretrained=None),
        encoder(models, "tiny-resnet"),
        encoder(models, pixels=PixelOptions(gamma=2.0)),
    ]
    assert len({plain.space, *(other.space for other in others)}) == 4
    contiguous = encoder(models, channels_last=False)
    assert contiguous.space == plain.space
    assert contiguous.key("document") != plain.key("document")
    for laid_out, last in ((plain, True), (contiguous, False)):
        kernels = [weights for weights in laid_out.parameters() if weights.ndim == 4]
        assert all(weights.is_contiguous(memory_format=torch.channels_last) == last for weights in kernels)


def test_it_computes_in_sixteen_bits(models: Path) -> None:
    from likewise.vectors.extract import extract
    from likewise.vectors.options import EmbedOptions

    pictures = [picture(seed) for seed in range(6)]
    exact = extract(encoder(models), pictures, options=EmbedOptions(precision="float32"))
    lower = extract(encoder(models), pictures, options=EmbedOptions(precision="bfloat16"))
    assert 0.99 < float((exact * lower).sum(axis=1).min()) < 1 - 1e-7


# What cannot be had


def test_weights_that_are_not_there_are_an_error_never_random(models: Path, tmp_path: Path) -> None:
    from likewise.errors import DataError, RecipeError

    with pytest.raises(DataError, match=r'pretrained = ".*/nowhere\.pt" is neither a file here nor a tag of model = "tiny-vit"'):
        encoder(models, pretrained=str(tmp_path / "nowhere.pt"))
    with pytest.raises(RecipeError, match=r'model = "ViT-B-32" needs weights; set pretrained to a file, or to a tag .*laion2b'):
        encoder(models, model="ViT-B-32", pretrained=None)
    with pytest.raises(DataError, match=r'model = "nobody" is no folder here and no name that OpenCLIP knows'):
        encoder(models, model="nobody")
    with pytest.raises(DataError, match=r"tiny-resnet\.safetensors\" cannot be opened .*; give weights that OpenCLIP wrote"):
        encoder(models, pretrained=str(models / "tiny-resnet.safetensors"))
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.pt\" cannot be opened"):
        encoder(models, pretrained=str(tmp_path / "bad.pt"))
    folder = in_folder(models, tmp_path / "empty", "tiny-vit", {})
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(DataError, match=r'model = ".*/empty" cannot be opened'):
        encoder(models, model=str(folder), pretrained=None)
    with pytest.raises(RecipeError, match=r"has no effect: .* has its own weights"):
        encoder(models, model=str(folder))


def test_a_tag_trained_with_another_activation_names_the_right_model(models: Path) -> None:
    from likewise.errors import RecipeError

    with pytest.raises(RecipeError, match=r'write model = "ViT-B-32-quickgelu"'):
        encoder(models, model="ViT-B-32", pretrained="openai")


@pytest.mark.parametrize("offline", [True, False])
def test_offline_it_says_what_to_set(offline: bool, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.errors import DataError

    monkeypatch.setattr("likewise.encoders.hub.hub_answers", lambda: False)
    monkeypatch.setattr("huggingface_hub.is_offline_mode", lambda: offline)
    told = "its client is offline" if offline else "it does not answer"
    with pytest.raises(DataError, match=rf'"laion2b_s34b_b79k" of model = "ViT-B-32" is not .*{told}.*set pretrained to a file'):
        encoder(models, model="ViT-B-32", pretrained="laion2b_s34b_b79k", cache_dir=str(tmp_path))
    with pytest.raises(DataError, match=rf'model = "hf-hub:a/b" is not on this machine .*{told}.*name the folder of a model'):
        encoder(models, model="hf-hub:a/b", pretrained=None, cache_dir=str(tmp_path))


def test_tags_and_repositories_are_found_in_the_cache_dir(
    models: Path, open_clip: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hub's client has downloaded before, without asking the network; a tag's own preprocessing goes with it."""
    snapshot = tmp_path / "models--owner--tiny" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    in_folder(models, snapshot, "tiny-vit", SQUASHED)
    (tmp_path / "models--owner--tiny" / "refs").mkdir()
    (tmp_path / "models--owner--tiny" / "refs" / "main").write_text("0" * 40, encoding="ascii")
    monkeypatch.setattr("likewise.encoders.hub.hub_answers", lambda: pytest.fail("the network was asked"))
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-vit", {"mine": {"hf_hub": "owner/tiny/", **SQUASHED}})
    by_tag = encoder(models, pretrained="mine", cache_dir=str(tmp_path))
    by_repository = encoder(models, model="hf-hub:owner/tiny", pretrained=None, cache_dir=str(tmp_path))
    by_file = encoder(models)  # all tags of this model agree on a preprocessing, and a file's is taken to be the same
    assert by_tag.processing.mean == (0.5, 0.5, 0.5)
    assert by_tag.space == by_repository.space == by_file.space


def test_a_missing_or_broken_package_is_named(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.errors import DataError, MissingExtra

    with monkeypatch.context() as patch:
        patch.setitem(importlib.import_module("sys").modules, "open_clip", None)
        patch.setattr("importlib.util.find_spec", lambda name: True)
        with pytest.raises(DataError, match=r"cannot be imported .*; install the torchvision that was built for torch"):
            encoder(models)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"likewise\[openclip\]"):
        encoder(models)
