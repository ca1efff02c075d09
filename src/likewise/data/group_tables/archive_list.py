"""What `likewise tables read` writes: a folder for each archive, and a list of the archives that says how far each one is.

INTO/archives.json   the options, and of each archive where it was, whether it is read, or why it is left out
INTO/NAME/KEY/       the artifact of an archive, as of a stage of a run: INTO/NAME/current names the one in force
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.files import file_state, write_json
from likewise.artifacts.run import current
from likewise.errors import DamagedArtifact, DataError

LIST = "archives.json"


@dataclass(slots=True)
class Entry:
    """An archive: where it was, whether all of it is read, and why it is left out, if it is."""

    path: str
    read: bool = False
    fault: str = ""


@dataclass(slots=True)
class ArchiveList:
    """The archives of a folder by the names of their own folders; `options` and `version` are those of what reads them."""

    folder: Path
    options: Mapping[str, Any]
    version: int
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
            return cls(folder, dict(stored["options"]), int(stored["version"]), archives)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} is damaged ({error}); read the archives into a new folder.") from error

    def write(self) -> None:
        """Store the list."""
        archives = {name: asdict(entry) for name, entry in self.archives.items()}
        write_json(self.folder / LIST, {"archives": archives, "options": self.options, "version": self.version})

    def artifact(self, name: str) -> Artifact | None:
        """What was read of an archive, perhaps when it was another one; None for nothing, and where it is damaged."""
        with suppress(DamagedArtifact):
            found = current(self.folder, name)
            if found is not None:
                found.verify()
            return found
        return None

    def unchanged(self, name: str, archive: Path) -> Artifact | None:
        """What was read of this archive, if its size and its time of change are the same as then."""
        found = self.artifact(name)
        if found is None:
            return None
        states = [state for states in (found.manifest.outside or {}).values() for state in states or ()]
        try:
            return found if [state[1:] for state in states] == [file_state(archive)[1:]] else None
        except OSError:
            return None

    def tables(self) -> list[Path]:
        """The tables of items of all archives that are not left out, by name; DataError where one is not read."""
        found = []
        for name, entry in sorted(self.archives.items()):
            if entry.fault:
                continue
            artifact = current(self.folder, name) if entry.read else None
            if artifact is None:
                raise DataError(f"{entry.path} was not read to its end; read it into {self.folder} again.")
            found += [artifact.path / file for file in sorted(artifact.manifest.files) if file.startswith("items-")]
        return found
