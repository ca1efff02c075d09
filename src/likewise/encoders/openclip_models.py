"""Where an image tower of OpenCLIP comes from: a name with a tag or a file of weights, a folder, the Hugging Face hub.

Never from random weights: what cannot be had is an error.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import load_file, save_file

from likewise.encoders import hub
from likewise.encoders.options import OpenCLIPEncoderOptions
from likewise.errors import DataError, MissingExtra, RecipeError, first_line

HUB = "hf-hub:"
CONFIG_FILE, TOWER_FILE, WEIGHTS_FILE = "open_clip_config.json", "tower.json", "tower.safetensors"
WEIGHTS_ON_HUB = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # which is taken first
NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1}  # OpenCLIP builds no tower alone
PREPARED_BY = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Tower:
    """An image tower, and as JSON how it is built (`embed_dim`, `vision_cfg`, `quick_gelu`) and how pictures are prepared."""

    module: Any
    config: Mapping[str, Any]

    @classmethod
    def of(cls, model: Any, config: Mapping[str, Any]) -> Tower:
        """Of a whole OpenCLIP model, which was built by this `model_cfg`."""
        vision = {**config["vision_cfg"], "timm_model_pretrained": False}  # its weights come from `load`
        built = {"embed_dim": config["embed_dim"], "vision_cfg": vision, "quick_gelu": config.get("quick_gelu", False)}
        whole = {**built, "preprocess": _open_clip().get_model_preprocess_cfg(model)}
        return cls(model.visual, json.loads(json.dumps(whole)))

    def save(self, folder: Path) -> None:
        """How it is built as JSON, its weights as safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TOWER_FILE).write_text(json.dumps(self.config), encoding="utf-8")
        save_file({name: weights.contiguous() for name, weights in self.module.state_dict().items()}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Tower:
        """What `save` wrote."""
        config = json.loads((folder / TOWER_FILE).read_text(encoding="utf-8"))
        built = {name: value for name, value in config.items() if name != "preprocess"}
        module = _open_clip().CLIP(**built, text_cfg=NO_TEXT).visual
        module.load_state_dict(load_file(folder / WEIGHTS_FILE))
        return cls(module, config)


def open_tower(options: OpenCLIPEncoderOptions) -> Tower:
    """The tower that the options name, with its weights; DataError or RecipeError where they cannot be had."""
    package = _open_clip()
    folder = Path(options.model).expanduser()
    brings_weights = folder.is_dir() or options.model.startswith(HUB)
    if brings_weights and options.pretrained is not None:
        raise RecipeError(
            f'[encoder] pretrained = "{options.pretrained}" has no effect: model = "{options.model}" has its own weights; '
            "leave it out."
        )
    if options.model.startswith(HUB):
        repository = options.model.removeprefix(HUB)
        what, remedy = f'model = "{options.model}"', "name the folder of a model"
        _from_hub(repository, WEIGHTS_ON_HUB, options.cache_dir, what, remedy)
        folder = _from_hub(repository, (CONFIG_FILE,), options.cache_dir, what, remedy).parent
    weights: str | None = None
    preprocess: Mapping[str, Any] = {}
    if brings_weights:
        name = f"local-dir:{folder}"
    else:
        name = options.model.replace("/", "-")
        if package.get_model_config(name) is None:
            raise DataError(
                f'[encoder] model = "{options.model}" is no folder here and no name that OpenCLIP knows; '
                "open_clip.list_models() lists its names."
            )
        weights, preprocess = _weights(name, options)
    try:
        model = package.create_model(name, weights, force_preprocess_cfg=preprocess, require_pretrained=True)
        return Tower.of(model, package.get_model_config(name))
    except Exception as error:  # OpenCLIP, torch, timm, safetensors and JSON each raise their own
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        where = f'model = "{options.model}"' if brings_weights else f'pretrained = "{options.pretrained}"'
        raise DataError(
            f"[encoder] {where} cannot be opened ({reason}); give weights that OpenCLIP wrote for this model."
        ) from error


def _weights(model: str, options: OpenCLIPEncoderOptions) -> tuple[str, Mapping[str, Any]]:
    """The file of a tag, or a named one, and how its pictures are prepared."""
    package, tags = _open_clip(), _open_clip().list_pretrained_tags_by_model(model)
    if options.pretrained is None:
        raise RecipeError(
            f'[encoder] model = "{options.model}" needs weights; set pretrained to a file, or to a tag of OpenCLIP '
            f"({', '.join(tags) or 'this model has none'})."
        )
    found = package.get_pretrained_cfg(model, options.pretrained)
    if found:
        if found.get("quick_gelu", False) != package.get_model_config(model).get("quick_gelu", False):
            raise RecipeError(
                f'[encoder] pretrained = "{options.pretrained}" was trained with QuickGELU, which model = "{options.model}" '
                f'is built without; write model = "{options.model}-quickgelu".'
            )
        repository, _, file = found["hf_hub"].rpartition("/")
        safe = [f"{file[:-4]}.safetensors"] if file.endswith((".bin", ".pth")) else []
        names = (*safe, file) if file else WEIGHTS_ON_HUB
        what = f'pretrained = "{options.pretrained}" of model = "{options.model}"'
        weights = _from_hub(repository, names, options.cache_dir, what, "set pretrained to a file of weights")
        return str(weights), {name: found[name] for name in PREPARED_BY if name in found}
    path = Path(options.pretrained).expanduser()
    if not path.is_file():
        raise DataError(
            f'[encoder] pretrained = "{options.pretrained}" is neither a file here nor a tag of model = "{options.model}" '
            f"({', '.join(tags) or 'it has none'}); name one of them."
        )
    return str(path), _agreed(model)


def _agreed(model: str) -> Mapping[str, Any]:
    """How the pictures of a file's weights are prepared: as all tags of the model agree; else as CLIP's, which is the default."""
    package = _open_clip()
    configs = [package.get_pretrained_cfg(model, tag) for tag in package.list_pretrained_tags_by_model(model)]
    ways: list[dict[str, Any]] = [{name: config[name] for name in PREPARED_BY if name in config} for config in configs]
    return ways[0] if ways and all(way == ways[0] for way in ways) else {}


def _from_hub(repository: str, names: Sequence[str], cache_dir: str | None, what: str, remedy: str) -> Path:
    """The first of a repository's files that there is, on this machine or on the hub; DataError with `what` and a remedy."""
    reason = "its client is offline" if huggingface_hub.is_offline_mode() else "it does not answer"
    for local in (True, False):
        if not local and not hub.hub_answers():
            break
        for name in names:
            try:
                found = huggingface_hub.hf_hub_download(repository, name, cache_dir=cache_dir, local_files_only=local)
                return Path(str(found))
            except EntryNotFoundError as error:  # here or there
                reason = reason if local else first_line(error)
            except Exception as error:  # the client's own kinds of "no"
                reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    raise DataError(
        f"[encoder] {what} is not on this machine and could not be had from the Hugging Face hub ({reason.rstrip('.')}); "
        f"go online once, set cache_dir to the folder that holds its downloads, or {remedy}."
    )


def _open_clip() -> Any:
    """The package; MissingExtra where it is not installed."""
    if importlib.util.find_spec("open_clip") is None:
        raise MissingExtra("openclip", '[encoder] kind = "openclip"')
    try:
        import open_clip
    except (ImportError, RuntimeError, OSError) as error:  # torchvision, which it imports, is built for one torch only
        reason = first_line(error)
        raise DataError(
            f'[encoder] kind = "openclip": open_clip is installed but cannot be imported ({reason}); '
            f"install the torchvision that was built for torch {torch.__version__}."
        ) from error
    return open_clip
