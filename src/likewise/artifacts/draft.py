"""A stage's folder while it is written. Names appear in it only whole, so an interrupted stage goes on from what is there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from likewise.artifacts.artifact import MANIFEST, REMARKS, Artifact, FileRecord, Folder, Manifest, Origin
from likewise.artifacts.files import replacing, sha256, sync, sync_tree, working_folder, write_json
from likewise.errors import DamagedArtifact, Terminated

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

PRIVATE = ".scratch"
NOWHERE = Origin()
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Reporter(Protocol):
    """Who hears how a run goes: a terminal, a log, a test."""

    def started(self, stage: str) -> None:
        """A stage begins."""
        ...

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Part of a stage is done."""
        ...

    def said(self, stage: str, sentence: str) -> None:
        """A stage has something to say: what was dropped, what it fell back to."""
        ...

    def finished(self, stage: str, seconds: float, reused: bool) -> None:
        """A stage has ended; `reused` where nothing had changed."""
        ...

    def absent(self, stage: str, reason: str) -> None:
        """A stage that this recipe does not have."""
        ...


class Silence:
    """A reporter that says nothing."""

    def started(self, stage: str) -> None:
        """Say nothing."""

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Say nothing."""

    def said(self, stage: str, sentence: str) -> None:
        """Say nothing."""

    def finished(self, stage: str, seconds: float, reused: bool) -> None:
        """Say nothing."""

    def absent(self, stage: str, reason: str) -> None:
        """Say nothing."""


@dataclass(slots=True)
class Stop:
    """Whether a signal asked the process to stop."""

    requested: bool = False

    def check(self) -> None:
        """Terminated if it did: what the signal's handler raised may have ended in some library, which went on."""
        if self.requested:
            raise Terminated("Stopped by a signal; what was whole is kept, run again to go on.")


class Draft(Folder):
    """A stage's folder, being written. What is named in it is whole; what is half-written stands under `.scratch`."""

    def __init__(
        self,
        path: Path,
        *,
        stage: str,
        seed: int = 0,
        reporter: Reporter | None = None,
        earlier: Artifact | None = None,
        in_force: Artifact | None = None,
        stop: Stop | None = None,
    ) -> None:
        """`earlier`: what the same stage made of the same options and inputs, when files outside were other ones; `in_force`:
        what the run has of this stage so far, whatever it was made of."""
        self.path = path
        self.place = working_folder()
        self.stage = stage
        self.seed = seed
        self.earlier = earlier
        self.in_force = in_force
        self.stop = stop or Stop()
        self._deferring = False
        self._reporter: Reporter = reporter or Silence()
        path.mkdir(parents=True, exist_ok=True)
        if (path / MANIFEST).exists():
            raise DamagedArtifact(f"{path} is published already; it cannot be written again.")

    # Reading back what is written

    def has(self, name: str) -> bool:
        """Whether this file or folder was written whole, perhaps by an earlier attempt that was killed."""
        return (self.path / name).exists()

    def file(self, name: str) -> Path:
        """The path of a file that was written whole."""
        assert self.has(name), f"{name} was not written"
        return self.path / name

    # Writing

    @contextmanager
    def write(self, name: str) -> Iterator[Path]:
        """A temporary path to write to; the file appears under its name, whole, when the block ends without an error."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, self.scratch("writing") / name.replace("/", "-")) as temporary:
            yield temporary

    @contextmanager
    def write_folder(self, name: str) -> Iterator[Path]:
        """A temporary folder to fill; it appears under its name, whole, when the block ends without an error."""
        temporary = self.scratch("writing") / name.replace("/", "-")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        sync_tree(temporary)
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(path, ignore_errors=True)  # a folder cannot be renamed onto another
        os.rename(temporary, path)
        sync(path.parent)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, keys sorted."""
        self.write_text(name, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file in UTF-8."""
        with self.write(name) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file with page checksums; the same table gives the same bytes."""
        import pyarrow.parquet

        with self.write(name) as temporary:
            pyarrow.parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)

    def write_array(self, name: str, array: NDArray[Any]) -> None:
        """Write a `.npy` file, C order, no pickle."""
        import numpy as np

        with self.write(name) as temporary, temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)

    def scratch(self, name: str) -> Path:
        """A private folder for parts and checkpoints: there again after a kill, removed when the stage is published."""
        folder = self.path / PRIVATE / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # Telling

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Tell how far the stage is; Terminated if the process was asked to stop, unless that is deferred."""
        if not self._deferring:
            self.stop.check()
        self._reporter.progress(self.stage, done, total, note)

    def say(self, sentence: str) -> None:
        """Tell the user something about this stage."""
        self._reporter.said(self.stage, sentence)

    def remark(self, sentences: Sequence[str]) -> None:
        """Say what people should know, and keep it in the artifact, for those who come later."""
        if sentences:
            self.write_json(REMARKS, sentences)
        for sentence in sentences:
            self.say(sentence)

    @contextmanager
    def deferred_stop(self) -> Iterator[Stop]:
        """Within the block SIGTERM and SIGINT only set `stop.requested`, so that the stage can save its state and raise.

        Terminated at the end of the block, if it has not.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self.stop
            return

        def note(number: int, frame: FrameType | None) -> None:
            self.stop.requested = True

        before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
        self._deferring = True
        try:
            yield self.stop
            self.stop.check()
        finally:
            self._deferring = False
            self.stop.requested = False  # whoever asked is answered by what is raised here
            for number, handler in before.items():
                signal.signal(number, handler)

    def publish(self, origin: Origin = NOWHERE, *, seconds: float = 0.0, peak_memory_bytes: int = 0) -> Artifact:
        """Remove what is private, write the manifest last, and return the finished artifact."""
        shutil.rmtree(self.path / PRIVATE, ignore_errors=True)
        for unfinished in self.path.glob(f".{MANIFEST}.*.tmp"):  # an attempt was killed while it wrote the manifest
            unfinished.unlink()
        files = {
            path.relative_to(self.path).as_posix(): FileRecord(path.stat().st_size, sha256(path))
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }
        sync_tree(self.path)
        known = {field.name: getattr(origin, field.name) for field in fields(origin)}
        known |= {"stage": self.stage, "place": self.place, "files": files}
        manifest = Manifest(seconds=seconds, peak_memory_bytes=peak_memory_bytes, **known)
        write_json(self.path / MANIFEST, manifest.as_json())
        return Artifact(self.path)
