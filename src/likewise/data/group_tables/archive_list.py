"""What `likewise tables read` writes: a folder for each archive, and a list of the archives that says how far each one is.

INTO/likewise-archives.json   the options, and of each archive where and what it was, and how far it is
INTO/NAME/KEY/                the artifact of an archive, as of a stage of a run: INTO/NAME/current names the one in force
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.files import file_state, write_json
from likewise.artifacts.run import CURRENT, KEY, current, in_force
from likewise.errors import DamagedArtifact, DataError

LIST = "likewise-archives.json"
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # of an archive's folder


@dataclass(slots=True)
class Entry:
    """An archive: where it was, its `state` (bytes and time of change) when its artifact was made, by what `version`.

    `read` where all of it is there, `left_out` where it cannot be read and the others go on without it; `fault` says what is bad.
    """

    path: str
    state: list[int] = field(default_factory=list)
    version: int = 0
    read: bool = False
    left_out: bool = False
    fault: str = ""

    def __post_init__(self) -> None:
        kinds = {"path": str, "state": list, "version": int, "read": bool, "left_out": bool, "fault": str}
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} = {getattr(self, name)!r}")


@dataclass(slots=True)
class ArchiveList:
    """The archives of a folder by the names of their own folders, and the options with which they were read."""

    folder: Path
    options: Mapping[str, Any]
    archives: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The list of a folder; None where it has none. DataError where it is damaged."""
        path = folder / LIST
        if not path.is_file():
            return None
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            archives = {name: Entry(**entry) for name, entry in stored["archives"].items()}
            if bad := [name for name in archives if not NAME.fullmatch(name)]:
                raise ValueError(f'the name "{bad[0]}"')
            return cls(folder, {**stored["options"]}, archives)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(f"{path} is damaged ({error}); read the archives into a new folder.") from error

    def write(self) -> None:
        """Store the list."""
        archives = {name: asdict(entry) for name, entry in self.archives.items()}
        write_json(self.folder / LIST, {"archives": archives, "options": self.options})

    def artifact(self, name: str) -> Artifact | None:
        """The artifact of an archive, verified; None where there is none, or it is damaged."""
        with suppress(DamagedArtifact):
            found = current(self.folder, name)
            if found is not None:
                found.verify()
            return found
        return None

    def drop_unused(self, name: str) -> None:
        """Remove the artifacts of an archive that are not in force; nothing else that stands beside them."""
        folder = self.folder / name
        for path in folder.iterdir() if folder.is_dir() else ():
            if KEY.fullmatch(path.name) and path.name != in_force(folder):
                shutil.rmtree(path, ignore_errors=True)

    def drop(self, name: str) -> bool:
        """Remove all artifacts of an archive, and its folder if nothing else is in it; whether one was in force."""
        folder = self.folder / name
        if not folder.is_dir():
            return False
        was_read = in_force(folder) is not None
        (folder / CURRENT).unlink(missing_ok=True)
        self.drop_unused(name)
        with suppress(OSError):  # people keep things in it
            folder.rmdir()
        return was_read

    def tables(self, name: str | None = None) -> list[Path]:
        """The tables of items of an archive, or of all that are not left out; DataError where one is not read to its end."""
        names = sorted(name for name, entry in self.archives.items() if not entry.left_out) if name is None else [name]
        found = []
        for each in names:
            entry = self.archives[each]
            artifact = current(self.folder, each) if entry.read else None
            if artifact is None:
                told = f" ({entry.fault.removesuffix('.').replace('; ', ', ')})" if entry.fault else ""
                remedy = f"read it into {self.folder} again, with --on-bad reject to go on without what cannot be read"
                raise DataError(f"{entry.path} was not read to its end{told}; {remedy}.")
            found += [artifact.path / file for file in sorted(artifact.manifest.files) if file.startswith("items-")]
        return found


def state_of(archive: Path) -> list[int]:
    """Bytes and time of change of an archive; nothing where it is not there."""
    try:
        return list(file_state(archive)[1:])
    except OSError:
        return []
