"""Archives of pictures as tables: each archive an artifact of its own, several read at a time.

INTO/ARCHIVE/ is a run's folder with the stage `ingest` alone. An archive that was read and has not changed is not read again, so
a killed call goes on where it was, and several may read different archives into one folder.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Reporter, Silence
from likewise.artifacts.run import LOG, Run, current, leftovers
from likewise.data.archives import archives_at
from likewise.data.group_tables.files import INGEST
from likewise.data.group_tables.summary import summary
from likewise.data.group_tables.words import counted
from likewise.data.images import readers
from likewise.data.ingest import ingest
from likewise.data.options import ImageArchiveOptions
from likewise.data.pairs import safe_name
from likewise.data.shard_reading import in_order
from likewise.errors import DamagedArtifact, DataError
from likewise.types import Reject

WORK = "read"  # what progress is told of


@dataclass(frozen=True, slots=True)
class ReadArchive:
    """An archive: the folder of its artifact, pictures, groups, pictures without one and rows that could not be used.

    `reused` where it was read before and has not changed. One that is left out has no `folder`, and a `fault` that says why.
    """

    archive: Path
    folder: Path | None = None
    pictures: int = 0
    groups: int = 0
    without_group: int = 0
    rejected: int = 0
    reused: bool = False
    fault: str = ""

    def sentence(self) -> str:
        """The archive in words."""
        if self.folder is None:
            return f"{self.archive} is left out: {self.fault}"
        grouped = f" of {counted(self.groups, 'group')}" if self.groups else ""
        alone = f", {self.without_group:,} without one" if self.groups and self.without_group else ""
        bad = f"; {counted(self.rejected, 'row')} could not be used" if self.rejected else ""
        return f"{self.folder}: {counted(self.pictures, 'picture')}{grouped}{alone}{bad}{' (as it was)' if self.reused else ''}."


@dataclass(frozen=True, slots=True)
class ReadArchives:
    """What was read, an entry for each archive in the order in which they were named."""

    archives: tuple[ReadArchive, ...]

    def sentences(self) -> list[str]:
        """The report in words."""
        kept = [each for each in self.archives if each.folder is not None]
        pictures = counted(sum(each.pictures for each in kept), "picture")
        told = f"{pictures} of {counted(len(kept), 'archive')}, each a folder of its own."
        return [*(each.sentence() for each in self.archives), told]


def read_archives(
    paths: Sequence[Path], into: Path, options: ImageArchiveOptions, *, reporter: Reporter | None = None
) -> ReadArchives:
    """Read each archive (of those named, and of the folders named) into `into`/NAME, as `options` say, but for their path.

    DataError, where `options.on_bad` is "stop", for the first archive of which something cannot be read, and otherwise where no
    archive can; where two archives have one name; and where `into` is a run, or has what was read of another one of that name.
    """
    archives = _named(paths)
    if (into / LOG).exists():
        raise DataError(f"{into} is a run; name another folder.")
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{into} cannot be written ({error.strerror}); name a folder elsewhere.") from error
    for name, archive in archives.items():
        _check(into / name, archive)
    return _Reading(archives, into, options, reporter or Silence()).done()


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """The archives by the names of their folders."""
    found = [archive for path in paths for archive in archives_at(path)]
    names = [safe_name(archive.name) for archive in found]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        first, second, *_ = [archive for name, archive in zip(names, found, strict=True) if name == twice]
        raise DataError(f"{first} and {second} have one name, and would be one folder; name each archive once.")
    return dict(zip(names, found, strict=True))


def _check(folder: Path, archive: Path) -> None:
    """DataError where the folder is not one of ours, or that of another archive."""
    if not folder.exists():
        return
    if not (folder / LOG).is_file():
        raise DataError(f"{folder} is there already, and nothing that was read of an archive; name another folder with --into.")
    with suppress(DamagedArtifact):  # which is made again
        before = current(folder, INGEST)
        if before is not None and not _same(before, archive):
            raise DataError(
                f"{folder} has what was read of another archive; name another folder with --into, or remove that one."
            )


def _same(before: Artifact, archive: Path) -> bool:
    """Whether an artifact is of the archive at this path, whatever it held then."""
    read = Path(before.place, str(before.manifest.options["path"]))
    return read.resolve() == archive.resolve()


@dataclass(slots=True)
class _Heard(Silence):
    """What is said of an archive while it is read; `go_on` hears of progress, and may end it."""

    go_on: Callable[[], None]
    note: str = ""
    sentences: list[str] = field(default_factory=list)
    reused: bool = False

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        self.note = note
        self.go_on()

    def said(self, stage: str, sentence: str) -> None:
        self.sentences.append(sentence)

    def finished(self, stage: str, seconds: float, reused: bool) -> None:
        self.reused = reused


class _Reading:
    """The archives while they are read."""

    def __init__(self, archives: dict[str, Path], into: Path, options: ImageArchiveOptions, reporter: Reporter) -> None:
        self._names = list(archives)
        self._archives = archives
        self._into = into
        self._options = options
        self._reporter = reporter
        self._heard: dict[int, _Heard] = {}
        self._done: list[ReadArchive] = []

    def done(self) -> ReadArchives:
        """Read all of them."""
        self._reporter.started(WORK)
        with closing(in_order(self._read, len(self._names), self._threads, self._tell)) as archives:
            for number, archive in enumerate(archives):
                self._done.append(archive)
                for sentence in self._heard[number].sentences:
                    self._reporter.said(self._names[number], sentence)
                self._tell()
        if all(archive.folder is None for archive in self._done):
            raise DataError(f"No archive could be read; the first: {self._done[0].fault}")
        return ReadArchives(tuple(self._done))

    @cached_property
    def _threads(self) -> int:
        return readers(len(self._names))

    def _tell(self) -> None:
        number = len(self._done)
        heard = self._heard.get(number)
        note = f"{self._names[number]}: {heard.note}" if heard and heard.note else ""
        self._reporter.progress(WORK, number, len(self._names), note)

    def _read(self, number: int, go_on: Callable[[], None]) -> ReadArchive:
        name = self._names[number]
        archive, folder = self._archives[name], self._into / name
        heard = self._heard[number] = _Heard(self._tell if self._threads == 1 else go_on)
        # what is bad is in the artifact in any case: who then wants to go on without it need not read the others again
        options = self._options.model_copy(update={"path": str(archive), "on_bad": "reject"})
        try:
            with Run(folder, reporter=heard) as run:
                artifact = run.stage(ingest, options)
                for unused in leftovers(folder):
                    shutil.rmtree(unused)
        except DataError as error:
            shutil.rmtree(folder)  # with what was read of it before: it is another archive now
            if self._options.stops_at_bad:
                raise DataError(_or_reject(str(error))) from error
            return ReadArchive(archive, fault=str(error))
        assert artifact is not None
        return self._told(archive, folder, artifact, heard.reused)

    def _told(self, archive: Path, folder: Path, artifact: Artifact, reused: bool) -> ReadArchive:
        rejects = artifact.table("rejects.parquet")
        if len(rejects) and self._options.stops_at_bad:
            raise DataError(_or_reject(str(Reject(**rejects.slice(0, 1).to_pylist()[0]))))
        held = summary([folder])
        return ReadArchive(archive, folder, held.rows, held.groups, held.without_group, len(rejects), reused)


def _or_reject(sentence: str) -> str:
    return f"{sentence.removesuffix('.')}, or go on without it by --on-bad reject."
