"""Any vision model of transformers as an encoder: its own preprocessing, its pooled features, at unit length.

Shapes: B pictures, h × w pixels as the model takes them, T patches and other tokens, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, PreTrainedModel

from likewise.data.intensity import Window
from likewise.encoders.hub import opened, without_progress_bars
from likewise.encoders.image_preprocessing import ImagePreprocessing, check_same
from likewise.encoders.options import ImageEncoderOptions
from likewise.encoders.pictures import PictureEncoder, laid_out, stored_window
from likewise.errors import DataError, RecipeError
from likewise.options import Options
from likewise.types import Prepared, Role

VOLATILE_SETTINGS = {"_name_or_path", "transformers_version", "dtype", "architectures"}


class ImageEncoder(PictureEncoder):
    """A vision model, or the vision half of one for pictures and texts; weights are float32 whatever they were stored as."""

    def __init__(self, options: ImageEncoderOptions, model: PreTrainedModel | None = None, window: Window | None = None) -> None:
        super().__init__(options.pixels, window)
        self.options: ImageEncoderOptions = options
        source = options.model
        self.model = model if model is not None else _open_model(source, options)
        self._processor = _open_processor(source, options)
        self.processing = ImagePreprocessing.of(self._processor, source)
        check_same(self._processor, self.processing, source)
        self._projects = options.pooling == "auto" and hasattr(self.model, "get_image_features")
        with torch.inference_mode():
            self._dimension = int(self._pooled(torch.zeros(1, 3, *self.processing.out)).shape[1])
        if options.channels_last:
            self.model.to(memory_format=torch.channels_last)

    @property
    def dimension(self) -> int:
        """D."""
        return self._dimension

    def preprocessing(self) -> Mapping[str, Any]:
        """The model's settings, what its processor does, the pooling, and how frames of one channel are windowed."""
        config = self.model.config.to_dict()
        return {
            "config": {name: str(config[name]) for name in sorted(config) if name not in VOLATILE_SETTINGS},
            "processing": self.processing.as_json(),
            "pooling": "tokens of patches" if self.options.pooling == "patches" else self.options.pooling,
            "pixels": self._pixel_settings(),
            "single_channel": "repeated",
        }

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """As of all pictures; and convolutions add up in another order where channels stand together."""
        return {**super().key_parts(role), "channels_last": self.options.channels_last}

    def remarks(self) -> Sequence[str]:
        """As of all pictures, and whether the model's own pooled features could not be had."""
        vision = getattr(self.model, "vision_model", self.model)
        lacks = self.options.pooling == "auto" and not self._projects and getattr(vision, "pooler", ()) is None
        told = ["The model has no weights of its pooler: the mean of all tokens is taken."] if lacks else []
        return [*told, *super().remarks()]

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D] float32."""
        pixels = laid_out(prepared, channels_last=self.options.channels_last)
        return nn.functional.normalize(self._pooled(pixels).float(), dim=1)

    def save(self, folder: Path) -> None:
        """A folder that `AutoModel.from_pretrained` and `AutoImageProcessor.from_pretrained` open."""
        folder.mkdir(parents=True, exist_ok=True)
        with without_progress_bars():
            self.model.save_pretrained(folder)
        self._processor.save_pretrained(folder)
        self._save_window(folder)

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote; `options.model` is not opened."""
        assert isinstance(options, ImageEncoderOptions)
        stored = options.model_copy(update={"model": str(folder), "revision": None})
        encoder = cls(stored, window=stored_window(folder))
        encoder.options = options
        return encoder

    def _pooled(self, pixels: Tensor) -> Tensor:
        """[B, D], of any length."""
        if self._projects:
            features: Any = self.model.get_image_features(pixel_values=pixels)
            whole: Tensor = features if isinstance(features, Tensor) else features.pooler_output
            return whole
        vision = getattr(self.model, "vision_model", self.model)
        out = vision(pixel_values=pixels)
        return pooled(out, self.options.pooling, self.options.model, _patches(vision.config, pixels.shape[-2:]))


def pooled(out: Any, pooling: str, model: str, patches: int) -> Tensor:
    """[B, D] of a model's outputs: `auto` takes its own pooled features and, where it has none, the mean.

    Of more tokens than `patches` the last so many are those of patches; class and register tokens stand before them.
    """
    hidden: Tensor = out.last_hidden_state
    own: Tensor | None = getattr(out, "pooler_output", None)
    tokens = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
    match pooling:
        case "auto" | "pooler" if own is not None:
            return own.flatten(1)
        case "pooler":
            raise RecipeError(f'[encoder] pooling = "pooler", but "{model}" has no pooler; use "cls" or "mean".')
        case "cls":
            if hidden.ndim == 4:
                raise RecipeError(f'[encoder] pooling = "cls", but "{model}" has no class token; use "pooler" or "mean".')
            return tokens[:, 0]
        case "patches":
            own_places = tokens[:, max(0, tokens.shape[1] - patches) :]
            return torch.cat([own_places.mean(dim=1), own_places.std(dim=1)], dim=1)
        case _:
            return tokens.mean(dim=1)


def _patches(config: Any, size: Sequence[int]) -> int:
    """Patches of a picture of this height and width, of models that cut it into such; of others more than they have tokens."""
    side = getattr(config, "patch_size", None) or 1
    tall, wide = side if isinstance(side, (list, tuple)) else (side, side)
    return int(size[0] // tall) * int(size[1] // wide)


def _open_model(model: str, options: ImageEncoderOptions) -> PreTrainedModel:
    """The model with all its weights; without its pooler where only that one's are missing, as of classifiers."""

    def open_(name: str, local: bool) -> tuple[PreTrainedModel, dict[str, Any]]:
        where: Any = {"cache_dir": options.cache_dir, "revision": options.revision, "local_files_only": local}
        found: tuple[PreTrainedModel, dict[str, Any]] = AutoModel.from_pretrained(
            name, dtype=torch.float32, output_loading_info=True, **where
        )
        return found

    found, told = opened(model, open_, writer="save_pretrained")
    other = [str(each[0]) for each in told["mismatched_keys"]]
    missing = sorted(name for name in told["missing_keys"] if "pooler" not in name.split("."))
    if missing or other:
        what = f"has no weights for {len(missing)} of its tensors" if missing else f"has {len(other)} tensors of another shape"
        raise DataError(
            f'[encoder] model = "{model}" {what}, such as {(missing or other)[0]}, which would be random; '
            "give a model whose weights are all there."
        )
    if told["missing_keys"]:
        getattr(found, "vision_model", found).pooler = None
    return found.eval()


def _open_processor(model: str, options: ImageEncoderOptions) -> Any:
    def open_(name: str, local: bool) -> Any:
        where: Any = {"cache_dir": options.cache_dir, "revision": options.revision, "local_files_only": local}
        return AutoImageProcessor.from_pretrained(name, backend="pil", **where)

    return opened(model, open_, writer="save_pretrained")
