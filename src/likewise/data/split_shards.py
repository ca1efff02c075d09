"""Train, validation and test where evidence stays within shards: whole shards are the units.

shards.npy    [S] int8, the split of each shard (-1: it holds no items)
items.npy     [N] int8, the split of each item
leakage.json  how many shards and items each split has
"""

from __future__ import annotations

import numpy as np

from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.options import SplitOptions
from likewise.data.split import NONE, TEST, VALIDATION, Int8, Units, assign, check_filled, unit_places
from likewise.types import SPLITS


def divide_shards(draft: Draft, options: SplitOptions, corpus: Corpus) -> None:
    """The stage for a corpus of scope "shard": shards fall where the hash of seed and name does.

    DataError where a split that was asked for, or the training split, stays empty.
    """
    sizes = np.array([len(shard) for shard in corpus.shards], dtype=np.int64)
    held = np.flatnonzero(sizes)
    keys = tuple(corpus.shards[number].name for number in held.tolist())
    units = Units(held, np.arange(len(held), dtype=np.int64), keys, unit_places([f"{draft.seed}:{key}" for key in keys]))
    shares = {number: share for number, share in ((TEST, options.test), (VALIDATION, options.validation)) if share > 0}
    shards = np.full(len(corpus.shards), NONE, dtype=np.int8)
    shards[held] = assign(units, shares, exact=options.exact)
    check_filled(options, shards, shares, len(held), "shard")
    draft.write_array("items.npy", np.repeat(shards, sizes))
    draft.write_array("shards.npy", shards)
    draft.write_json("leakage.json", {name: _counted(shards == number, sizes) for number, name in enumerate(SPLITS)})


def _counted(chosen: Int8, sizes: np.ndarray) -> dict[str, int]:
    return {"units": int(np.count_nonzero(chosen)), "items": int(sizes[chosen].sum())}
