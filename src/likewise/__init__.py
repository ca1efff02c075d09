"""Likewise teaches a model what *alike* means in your data.

The public names are imported when they are first used, so that `import likewise` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likewise.classifying import Classifier as Classifier
    from likewise.classifying import classify as classify
    from likewise.config import Recipe as Recipe
    from likewise.config import read_recipe as read_recipe
    from likewise.duplicates import DuplicateFinder as DuplicateFinder
    from likewise.encoders.base import Encoder as Encoder
    from likewise.encoders.image import ImageEncoder as ImageEncoder
    from likewise.encoders.static import StaticEncoder as StaticEncoder
    from likewise.encoders.text import TextEncoder as TextEncoder
    from likewise.errors import LikewiseError as LikewiseError
    from likewise.errors import UserError as UserError
    from likewise.evaluation.verdict import judge as judge
    from likewise.index.faiss import FaissIndex as FaissIndex
    from likewise.losses.cosine import Cosine as Cosine
    from likewise.losses.infonce import InfoNCE as InfoNCE
    from likewise.losses.triplet import Triplet as Triplet
    from likewise.neighbors.nearest import nearest as nearest
    from likewise.neighbors.radius import within as within
    from likewise.options import Options as Options
    from likewise.pipeline import run as run
    from likewise.searching import open_run as open_run
    from likewise.training.base import EmbeddingBase as EmbeddingBase
    from likewise.training.graph_callbacks import EmbeddingBuilder as EmbeddingBuilder
    from likewise.training.graph_callbacks import EmbeddingPurEff as EmbeddingPurEff
    from likewise.training.graph_callbacks import EmbeddingTelemetry as EmbeddingTelemetry
    from likewise.training.layerless import LayerlessEmbedding as LayerlessEmbedding
    from likewise.training.text import TextEmbedding as TextEmbedding
    from likewise.types import Batch as Batch
    from likewise.types import Hits as Hits
    from likewise.types import Items as Items
    from likewise.types import LossResult as LossResult
    from likewise.types import Negatives as Negatives
    from likewise.types import Neighbors as Neighbors
    from likewise.types import Pairs as Pairs
    from likewise.types import Verdict as Verdict
    from likewise.vectors.cache import EmbeddingCache as EmbeddingCache
    from likewise.vectors.extract import extract as extract
    from likewise.vectors.extraction_config import ExtractionConfig as ExtractionConfig
    from likewise.vectors.extractor import EmbeddingExtractor as EmbeddingExtractor

__version__ = "0.1.0"

_HOMES = {
    "likewise.classifying": ("Classifier", "classify"),
    "likewise.config": ("Recipe", "read_recipe"),
    "likewise.duplicates": ("DuplicateFinder",),
    "likewise.encoders.base": ("Encoder",),
    "likewise.encoders.image": ("ImageEncoder",),
    "likewise.encoders.static": ("StaticEncoder",),
    "likewise.encoders.text": ("TextEncoder",),
    "likewise.errors": ("LikewiseError", "UserError"),
    "likewise.evaluation.verdict": ("judge",),
    "likewise.index.faiss": ("FaissIndex",),
    "likewise.losses.cosine": ("Cosine",),
    "likewise.losses.infonce": ("InfoNCE",),
    "likewise.losses.triplet": ("Triplet",),
    "likewise.neighbors.nearest": ("nearest",),
    "likewise.neighbors.radius": ("within",),
    "likewise.options": ("Options",),
    "likewise.pipeline": ("run",),
    "likewise.searching": ("open_run",),
    "likewise.training.base": ("EmbeddingBase",),
    "likewise.training.graph_callbacks": ("EmbeddingBuilder", "EmbeddingPurEff", "EmbeddingTelemetry"),
    "likewise.training.layerless": ("LayerlessEmbedding",),
    "likewise.training.text": ("TextEmbedding",),
    "likewise.types": ("Batch", "Hits", "Items", "LossResult", "Negatives", "Neighbors", "Pairs", "Verdict"),
    "likewise.vectors.cache": ("EmbeddingCache",),
    "likewise.vectors.extract": ("extract",),
    "likewise.vectors.extraction_config": ("ExtractionConfig",),
    "likewise.vectors.extractor": ("EmbeddingExtractor",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*sorted(_HOME_OF), "__version__"]  # the table above is the one place where names are listed


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'likewise' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
