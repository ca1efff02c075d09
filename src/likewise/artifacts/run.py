"""A run: a folder, a lock, a log, and stages that run once.

RUN/STAGE/KEY/manifest.json   an artifact; KEY digests the stage's own section, its inputs' contents and its version
RUN/STAGE/current             names the KEY in force
RUN/log.jsonl                 one line per stage event
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import re
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from filelock import FileLock, Timeout

from likewise.artifacts.artifact import MANIFEST, Artifact, Origin
from likewise.artifacts.draft import Draft, Reporter, Silence, Stop
from likewise.artifacts.files import digest, file_state, replacing
from likewise.errors import DamagedArtifact, UserError
from likewise.options import Options

CURRENT = "current"
LOG = "log.jsonl"
KEY = re.compile(r"[0-9a-f]{16}")  # the name of an artifact's folder, as `files.digest` gives it
ABSENT = "not in the recipe"
STAMPED = ("likewise", "torch", "numpy", "sentence-transformers", "transformers", "faiss-cpu", "pyarrow")


class StageFunction(Protocol):
    """A stage: reads its inputs, writes files into the draft. `version` rises when the same inputs give other data."""

    def __call__(self, draft: Draft, options: Any, /, *inputs: Any) -> None:
        """Do the stage's work."""
        ...


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What a run's log says of a finished stage."""

    stage: str
    seconds: float
    peak_memory_bytes: int
    reused: bool


def versioned(version: int) -> Callable[[StageFunction], StageFunction]:
    """Mark a stage function with the version of what it writes."""

    def mark(function: StageFunction) -> StageFunction:
        function.version = version  # type: ignore[attr-defined]  # functions carry attributes; Protocol callables cannot say so
        return function

    return mark


class Stopped(Exception):  # control flow, not an error: the run was asked to end after this stage
    """The run reached the stage named by `until`."""


class Run:
    """A context in which stages run: locked, logged, and ended by SIGTERM with what is whole kept."""

    def __init__(
        self,
        folder: Path,
        *,
        until: str | None = None,
        fresh: bool = False,
        tentative: bool = False,
        seed: int = 0,
        reporter: Reporter | None = None,
    ) -> None:
        """`tentative`: what is made is not put in force."""
        self.folder = folder
        self.tentative = tentative
        self.until = until
        self.fresh = fresh
        self.seed = seed
        self.reporter: Reporter = reporter or Silence()
        self.finished: dict[str, Artifact] = {}
        self.records: list[StageRecord] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._stop = Stop()
        self._lock = FileLock(folder / ".lock")
        self._handler: Any = None

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.folder} is in use by another run; wait for it, or name another folder.") from None
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)
        self._lock.release()
        return isinstance(error, Stopped)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._stop.requested = True
        self._stop.check()

    def stage(
        self, function: StageFunction, options: Any, *inputs: Artifact | None, name: str | None = None, absent: str = ABSENT
    ) -> Artifact | None:
        """The stage's artifact: the one there is, if section and inputs did not change, or a new one.

        None without options; `absent` says why there are none.
        """
        self._stop.check()
        stage = name or function.__name__  # type: ignore[attr-defined]  # stages are functions
        if options is None:
            return self.absent(stage, absent)
        origin = self._origin(stage, function, options, inputs)
        key = origin.key
        self.reporter.started(stage)
        began = time.monotonic()
        artifact = None if self.fresh else self._existing(stage, key)
        reused = artifact is not None
        if artifact is None:
            artifact = self._perform(function, options, inputs, stage, origin)
        if not self.tentative:
            self._make_current(stage, key)
        self.finished[stage] = artifact
        seconds = time.monotonic() - began
        record = StageRecord(stage, artifact.manifest.seconds, artifact.manifest.peak_memory_bytes, reused)
        self.records.append(record)
        self._log(
            event="reused" if reused else "finished",
            stage=stage,
            key=key,
            seconds=round(seconds, 3),
            peak_memory_bytes=record.peak_memory_bytes,
        )
        self.reporter.finished(stage, seconds, reused)
        if stage == self.until:
            raise Stopped
        return artifact

    def absent(self, stage: str, reason: str, instead: Artifact | None = None) -> Artifact | None:
        """Say that a stage is not run, and why; what stands in its place is returned."""
        self.reporter.absent(stage, reason)
        self._log(event="absent", stage=stage, reason=reason)
        if stage == self.until:
            raise Stopped
        return instead

    def _existing(self, stage: str, key: str) -> Artifact | None:
        path = self.folder / stage / key
        if not (path / MANIFEST).exists():
            return None
        try:
            artifact = Artifact(path)
            artifact.verify()
        except DamagedArtifact as error:
            self.reporter.said(stage, f"{error} It is made again now.")
            self._log(event="damaged", stage=stage, key=key, reason=str(error))
            return None
        return artifact

    def _origin(self, stage: str, function: StageFunction, options: Any, inputs: tuple[Artifact | None, ...]) -> Origin:
        """What the stage's artifact depends on."""
        described = options.model_dump(mode="json") if isinstance(options, Options) else options
        section = {
            "stage": stage,
            "version": getattr(function, "version", 1),
            "options": described,
            "inputs": [artifact.content if artifact else None for artifact in inputs],
            "seed": self.seed,
        }
        outside = _outside(options)
        return Origin(
            key=digest({**section, "outside": outside}),
            lineage=digest(section),
            inputs={artifact.stage: artifact.content for artifact in inputs if artifact is not None},
            options=described,
            outside=outside,
            versions=versions(),
        )

    def _perform(
        self, function: StageFunction, options: Any, inputs: tuple[Artifact | None, ...], stage: str, origin: Origin
    ) -> Artifact:
        path = self.folder / stage / origin.key
        if self.fresh or (path / MANIFEST).exists():
            shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            self.reporter.said(stage, "goes on from an interrupted attempt")
        self._log(event="started", stage=stage, key=origin.key)
        in_force = self._in_force(stage)
        earlier = in_force if in_force and in_force.manifest.lineage == origin.lineage and not self.fresh else None
        draft = Draft(
            path,
            stage=stage,
            seed=self.seed,
            reporter=_Logged(self.reporter, self._log),
            earlier=earlier,
            in_force=in_force,
            stop=self._stop,
        )
        began = time.monotonic()
        with measured_memory() as memory:
            try:
                function(draft, options, *inputs)
            except BaseException as error:
                self._log(event="failed", stage=stage, key=origin.key, reason=f"{type(error).__name__}: {error}")
                raise
        return draft.publish(origin, seconds=round(time.monotonic() - began, 3), peak_memory_bytes=memory.peak)

    def _in_force(self, stage: str) -> Artifact | None:
        """What the run has of this stage; None where it is damaged."""
        try:
            return current(self.folder, stage)
        except DamagedArtifact:
            return None

    def _make_current(self, stage: str, key: str) -> None:
        path = self.folder / stage / CURRENT
        if not path.exists() or path.read_bytes().strip() != key.encode():
            with replacing(path) as temporary:
                temporary.write_text(key + "\n", encoding="utf-8")

    def _log(self, **event: Any) -> None:
        line = json.dumps({"time": round(time.time(), 3), **event}, ensure_ascii=False)
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class _Logged:
    """Passes everything on to another reporter, and writes what a stage says to the log."""

    def __init__(self, reporter: Reporter, log: Callable[..., None]) -> None:
        self._reporter = reporter
        self._log = log

    def said(self, stage: str, sentence: str) -> None:
        self._log(event="said", stage=stage, sentence=sentence)
        self._reporter.said(stage, sentence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)


def _outside(options: Any) -> Any:
    """What an options object depends on beside its own text: the state of files it names."""
    return {thing: _state(thing) for thing in options.outside()} if isinstance(options, Options) else None


def _state(thing: str) -> Any:
    """Names, sizes and modification times of a file or of all files below a folder; None for anything else."""
    path = Path(thing)
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(other for other in path.rglob("*") if other.is_file())
    return [file_state(file) for file in files]


def current(folder: Path, stage: str) -> Artifact | None:
    """The artifact in force of a stage in a run's folder, or None. DamagedArtifact where what names it is no name."""
    name = in_force(folder / stage)
    if name is None:
        return None
    if not name.isprintable() or "/" in name:
        raise DamagedArtifact(f"{folder / stage / CURRENT} names no artifact; remove it, and the stage is run again.")
    return Artifact(folder / stage / name)


def in_force(stage: Path) -> str | None:
    """What stands in a stage's folder as the name of the artifact in force, whatever it is; None for nothing."""
    pointer = stage / CURRENT
    return pointer.read_bytes().strip().decode("utf-8", "replace") if pointer.is_file() else None


def is_stage(folder: Path) -> bool:
    """Whether a folder is that of a stage: something in it names the artifact in force."""
    return KEY.fullmatch(in_force(folder) or "") is not None


def versions() -> dict[str, str]:
    """The versions of what computes, for the manifest."""
    found = {"python": platform.python_version()}
    for name in STAMPED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@dataclass(slots=True)
class Memory:
    """The most memory a process held at once, in bytes."""

    peak: int = 0


@contextlib.contextmanager
def measured_memory() -> Iterator[Memory]:
    """The peak of resident memory within the block (where the system cannot reset its counter: since the process began)."""
    memory = Memory()
    with contextlib.suppress(OSError):  # Linux: start the high-water mark again from here
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    try:
        yield memory
    finally:
        memory.peak = _high_water_mark()


def _high_water_mark() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def sizes(folder: Path) -> Mapping[str, int]:
    """Bytes below each entry of a folder."""
    return {
        entry.name: sum(file.stat().st_size for file in ([entry] if entry.is_file() else entry.rglob("*")) if file.is_file())
        for entry in sorted(folder.iterdir())
    }


def leftovers(folder: Path) -> list[Path]:
    """Artifacts of a run that are not in force, and unfinished ones: what `likewise clean` removes.

    Only folders RUN/STAGE/KEY: whatever else people keep beside them, or a folder that is no run, is not to be removed.
    """
    artifacts = [path for path in sorted(folder.glob("*/*")) if path.is_dir() and KEY.fullmatch(path.name)]
    return [path for path in artifacts if in_force(path.parent) != path.name or not (path / MANIFEST).exists()]
