"""Blocks of mined negatives that outlive a kill: what a stage has searched once, it does not search again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from likewise.artifacts.files import replacing
from likewise.mining.outcome import Removed
from likewise.mining.suspicious import Suspicious
from likewise.types import Negatives

NEGATIVES = ("anchor", "item", "score", "rank")


@dataclass(frozen=True, slots=True)
class Mined:
    """Negatives of the anchors, what was removed on the way, and the candidates that score above their positive."""

    negatives: Negatives
    removed: Removed
    suspicious: Suspicious


class KeptBlocks:
    """The blocks of one mining in a folder of its own, by number: equal inputs give equal blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, number: int) -> Mined | None:
        """The block, if it was finished."""
        path = self._path(number)
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as kept:
            return Mined(
                Negatives(**{name: kept[name] for name in NEGATIVES}),
                Removed(*kept["removed"].tolist()),
                Suspicious(**{field.name: kept[f"suspicious_{field.name}"] for field in fields(Suspicious)}),
            )

    def put(self, number: int, mined: Mined) -> None:
        """Keep a finished block."""
        arrays: dict[str, Any] = {name: getattr(mined.negatives, name) for name in NEGATIVES}
        arrays["removed"] = np.array(list(asdict(mined.removed).values()), np.int64)
        arrays |= {f"suspicious_{field.name}": getattr(mined.suspicious, field.name) for field in fields(Suspicious)}
        with replacing(self._path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    def _path(self, number: int) -> Path:
        return self._folder / f"block-{number:05d}.npz"
