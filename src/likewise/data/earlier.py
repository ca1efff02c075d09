"""What an earlier run has read, taken over where the files it was read from did not change."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import lru_cache

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.types import FileSource, Source


def earlier_number(draft: Draft, source: Source, shard: str) -> int | None:
    """The number under which the earlier artifact holds this shard; None where there is none, or one of its files changed."""
    earlier = draft.earlier
    if earlier is None or not isinstance(source, FileSource):
        return None
    number = _numbers(earlier).get(shard)
    files = source.files(shard) if number is not None else ()
    return number if files and all(earlier.saw(file) for file in files) else None


@lru_cache(maxsize=2)
def _numbers(earlier: Artifact) -> Mapping[str, int]:
    """The number of each shard of an artifact, by name."""
    return {entry["name"]: number for number, entry in enumerate(earlier.json("counts.json")["shards"])}


def take_over(draft: Draft, files: Mapping[str, str]) -> None:
    """Copy files of the earlier artifact, verified, under new names, in the given order (new name → its name there)."""
    assert draft.earlier is not None
    for name, old in files.items():
        with draft.write(name) as temporary:
            shutil.copyfile(draft.earlier.file(old), temporary)
