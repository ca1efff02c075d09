"""What an earlier run has read, taken over where the files it was read from did not change."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from functools import lru_cache

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.types import FileSource, Source


def earlier_number(draft: Draft, source: Source, shard: str) -> int | None:
    """The number under which the earlier artifact holds this shard; None if there is none, or its files are not as they were."""
    earlier = draft.earlier
    if earlier is None or not isinstance(source, FileSource):
        return None
    number, files = _shards(earlier).get(shard, (-1, None))
    if files is None or files != files_of(source, shard):
        return None
    return number if all(earlier.saw(file) for file in source.files(shard)) else None


def files_of(source: Source, shard: str) -> str | None:
    """Names the set of files that decide what a shard holds, so that one that has gone is noticed; None where it has none."""
    files = source.files(shard) if isinstance(source, FileSource) else ()
    names = sorted(os.fsencode(file.name) for file in files)
    return hashlib.blake2b(b"\0".join(names), digest_size=16).hexdigest() if names else None


@lru_cache(maxsize=2)
def _shards(earlier: Artifact) -> Mapping[str, tuple[int, str | None]]:
    """The number of each shard of an artifact and what names its files, by its name."""
    entries = earlier.json("counts.json")["shards"]
    return {entry["name"]: (number, entry.get("files")) for number, entry in enumerate(entries)}


def take_over(draft: Draft, files: Mapping[str, str]) -> None:
    """Copy files of the earlier artifact, verified, under new names, in the given order (new name → its name there)."""
    assert draft.earlier is not None
    for name, old in files.items():
        with draft.write(name) as temporary:
            shutil.copyfile(draft.earlier.file(old), temporary)
