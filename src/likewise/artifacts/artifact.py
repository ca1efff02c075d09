"""A published artifact: a folder with a manifest, verified before anything in it is parsed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.artifacts.files import digest, file_state, sha256
from likewise.errors import DamagedArtifact

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MANIFEST = "manifest.json"
REMARKS = "remarks.json"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of an artifact: its size in bytes and the SHA-256 of its content."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What an artifact was made from: `key` digests all of it, `lineage` all but the files outside.

    `inputs` are the digests of the artifacts read, by stage; `outside` says of each thing that the options name the path, bytes
    and time of change of its files.
    """

    key: str = ""
    lineage: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    options: Any = None
    outside: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Origin):
    """What stands in `manifest.json`: written last, so a folder that has one is whole. `place` is the working folder."""

    stage: str
    files: Mapping[str, FileRecord]
    seconds: float
    peak_memory_bytes: int
    place: str = ""

    @property
    def content(self) -> str:
        """A digest of names and contents, without times: equal for equal data."""
        return digest({name: record.sha256 for name, record in self.files.items()})

    def as_json(self) -> Any:
        """The manifest as JSON-able values."""
        return {**asdict(self), "files": {name: asdict(record) for name, record in self.files.items()}}

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest; DamagedArtifact if it is not one."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            files = {name: FileRecord(**record) for name, record in value.pop("files").items()}
            return cls(files=files, **value)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedArtifact(
                f"{path} is not a manifest ({error}); remove the folder {path.parent} and run again."
            ) from error


class Folder:
    """What can be read from an artifact's folder, finished or not. Subclasses say how a file is vouched for."""

    path: Path
    place: str
    """The working folder in which it is, or was, written."""

    def file(self, name: str) -> Path:
        """The path of a file that is whole."""
        raise NotImplementedError  # abstract; an ABC would forbid the plain dataclass-like use in Draft

    def has(self, name: str) -> bool:
        """Whether a file (or a folder with files) of this name is there, whole."""
        raise NotImplementedError

    def json(self, name: str) -> Any:
        """A JSON file's value."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))

    @property
    def remarks(self) -> Sequence[str]:
        """What the stage has found that people should know, in sentences."""
        return tuple(self.json(REMARKS)) if self.has(REMARKS) else ()

    def table(self, name: str) -> pa.Table:
        """A Parquet file's table; its page checksums are verified."""
        import pyarrow.parquet

        return pyarrow.parquet.read_table(self.file(name), page_checksum_verification=True)

    def array(self, name: str) -> NDArray[np.generic]:
        """A `.npy` file, memory-mapped for reading."""
        import numpy as np

        array: NDArray[np.generic] = np.load(self.file(name), mmap_mode="r", allow_pickle=False)
        return array


class Artifact(Folder):
    """A folder that a stage published. Every file's size and SHA-256 are checked once, before its first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / MANIFEST).is_file():
            raise DamagedArtifact(f"{path} has no {MANIFEST}: it was never finished; run the stage again.")
        self.manifest = Manifest.read(path / MANIFEST)
        self.place = self.manifest.place
        self._verified: set[str] = set()

    @property
    def stage(self) -> str:
        """The name of the stage that wrote it."""
        return self.manifest.stage

    @property
    def content(self) -> str:
        """A digest of what is inside."""
        return self.manifest.content

    def saw(self, path: Path) -> bool:
        """Whether a file outside is as it was when this was made."""
        if not path.is_file():
            return False
        state = file_state(path)
        return self._seen.get(state[0]) == state

    @cached_property
    def _seen(self) -> dict[str, Any]:
        """The state of every file outside, by its path."""
        return {state[0]: state for states in (self.manifest.outside or {}).values() for state in states or ()}

    def has(self, name: str) -> bool:
        """Whether the manifest names this file, or files below a folder of this name."""
        return name in self.manifest.files or any(other.startswith(f"{name}/") for other in self.manifest.files)

    def file(self, name: str) -> Path:
        """The path of a file, after its size and digest were compared with the manifest; DamagedArtifact if they differ."""
        record = self.manifest.files.get(name)
        if record is None:
            raise DamagedArtifact(f"{self.path} has no file {name}; it has {', '.join(sorted(self.manifest.files)[:8])}.")
        path = self.path / name
        if name not in self._verified:
            if not path.is_file():
                raise DamagedArtifact(f"{path} is missing although the manifest names it; remove {self.path} and run again.")
            if path.stat().st_size != record.size or sha256(path) != record.sha256:
                raise DamagedArtifact(
                    f"{path} is not what was written (size or SHA-256 differs); remove {self.path} and run again."
                )
            self._verified.add(name)
        return path

    def folder(self, name: str) -> Path:
        """The path of a folder, after all files below it were verified."""
        for other in self.manifest.files:
            if other.startswith(f"{name}/"):
                self.file(other)
        return self.path / name

    def verify(self) -> None:
        """Check every file."""
        for name in self.manifest.files:
            self.file(name)
