"""Archives of pictures as tables: each archive an artifact of its own, several read at a time.

An archive that was read and has not changed is not read again, so a call that was ended goes on where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Reporter, Silence
from likewise.artifacts.files import storable
from likewise.artifacts.run import LOG, Run, leftovers
from likewise.data.archives import archives_at
from likewise.data.group_tables.archive_list import LIST, ArchiveList, Entry
from likewise.data.group_tables.summary import summary
from likewise.data.group_tables.words import counted, examples
from likewise.data.images import readers
from likewise.data.ingest import ingest
from likewise.data.options import INGEST_VERSION, ImageArchiveOptions
from likewise.data.pairs import safe_name
from likewise.data.shard_reading import in_order
from likewise.data.table import encodable
from likewise.errors import DataError
from likewise.types import Reject

WORK = "read"  # what progress is told of
OURS = {LIST, LOG, ".lock"}  # what a call leaves that was ended before it had listed its archives


@dataclass(frozen=True, slots=True)
class ReadArchive:
    """An archive: the folder of its artifact, its pictures, groups, and rows that could not be used; `without_group` counts
    pictures that have none where groups were asked for.

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
        alone = f", {self.without_group:,} without a group" if self.without_group else ""
        bad = f"; {counted(self.rejected, 'row')} could not be used" if self.rejected else ""
        return f"{self.archive}: {counted(self.pictures, 'picture')}{grouped}{alone}{bad}{' (as it was)' if self.reused else ''}."


@dataclass(frozen=True, slots=True)
class ReadArchives:
    """What was read into a folder, an entry for each archive in the order in which they were named."""

    into: Path
    archives: tuple[ReadArchive, ...]

    def sentences(self) -> list[str]:
        """The report in words."""
        kept = [each for each in self.archives if each.folder is not None]
        pictures = counted(sum(each.pictures for each in kept), "picture")
        told = f"{pictures} of {counted(len(kept), 'archive')} in {self.into}, a folder for each."
        return [*(each.sentence() for each in self.archives), told]


def read_archives(
    paths: Sequence[Path], into: Path, options: ImageArchiveOptions, *, reporter: Reporter | None = None
) -> ReadArchives:
    """Read each archive (of those named, and of the folders named) into `into`/NAME, as `options` say, but for their path.

    DataError, where `options.on_bad` is "stop", for the first archive of which something cannot be read, and otherwise where no
    archive can; where two archives have one name; and where `into` holds other things, or what was read with other options.
    UserError where another process reads into it.
    """
    archives, heard = _named(paths), _Heard()
    with ExitStack() as held:
        try:
            if not (into / LIST).is_file() and into.exists() and any(path.name not in OURS for path in into.iterdir()):
                raise DataError(f"{into} is there already, and holds other things; name a new folder.")
            run = held.enter_context(Run(into, reporter=heard))
        except OSError as error:
            raise DataError(f"{into} cannot be written ({error.strerror}); name a folder elsewhere.") from error
        return _Reading(archives, _listed(into, archives, options), options, run, heard, reporter or Silence()).done()


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """The archives by the names of their folders."""
    found: dict[str, Path] = {}
    for archive in (archive for path in paths for archive in archives_at(path)):
        if not encodable(str(archive.absolute())):
            raise DataError(f"{storable(archive)} has a name that is not UTF-8; rename it.")
        name = safe_name(archive.name)
        other = found.setdefault(name, archive)
        if other is archive:
            continue
        if other.resolve() == archive.resolve():
            raise DataError(f"{archive} is named twice; name it once.")
        raise DataError(f"{other} and {archive} have one name; rename one, or read it into another folder.")
    return found


def _listed(into: Path, archives: dict[str, Path], options: ImageArchiveOptions) -> ArchiveList:
    """The list of the folder with these archives, stored: none of them counts as read until it is looked at."""
    wanted = options.model_dump(mode="json", exclude={"path", "on_bad"})
    listed = ArchiveList.of(into) or ArchiveList(into, wanted, INGEST_VERSION)
    if listed.options != wanted:
        other = ", ".join(f"{name} = {value}" for name, value in listed.options.items() if wanted.get(name) != value)
        raise DataError(f"{into} was read with {other}; read it so again, or name another folder.")
    for name, archive in archives.items():
        before = listed.archives.get(name)
        if before is not None and Path(before.path).exists() and Path(before.path).resolve() != archive.resolve():
            raise DataError(f"{into} has what was read of {before.path}, whose name is the same; name another folder.")
    if listed.version != INGEST_VERSION:
        for name, entry in listed.archives.items():
            shutil.rmtree(into / name, ignore_errors=True)  # what an older version wrote
            entry.read = False
        listed.version = INGEST_VERSION
    listed.archives |= {name: Entry(str(archive.absolute())) for name, archive in archives.items()}
    listed.write()
    return listed


class _Heard(Silence):
    """What is said of archives while they are read; `go_on` hears of progress, and may end it."""

    def __init__(self) -> None:
        self.go_on: Callable[[], None] = lambda: None
        self.notes: dict[str, str] = {}
        self.sentences: dict[str, list[str]] = {}

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Keep how far an archive is."""
        self.notes[stage] = note
        self.go_on()

    def said(self, stage: str, sentence: str) -> None:
        """Keep it, to be told in the order of the archives."""
        self.sentences.setdefault(stage, []).append(sentence)


class _Reading:
    """The archives while they are read."""

    def __init__(
        self,
        archives: dict[str, Path],
        listed: ArchiveList,
        options: ImageArchiveOptions,
        run: Run,
        heard: _Heard,
        reporter: Reporter,
    ) -> None:
        self._names = list(archives)
        self._archives = archives
        self._list = listed
        self._options = options
        self._run = run
        self._heard = heard
        self._reporter = reporter
        self._done: list[ReadArchive] = []

    def done(self) -> ReadArchives:
        """Read all of them."""
        self._reporter.started(WORK)
        with closing(in_order(self._read, len(self._names), self._threads, self._tell)) as archives:
            for name, archive in zip(self._names, archives, strict=True):
                for sentence in self._heard.sentences.get(name, []):
                    self._reporter.said(name, sentence)
                self._done.append(self._settled(name, archive))
                self._tell()
        if all(archive.folder is None for archive in self._done):
            raise DataError(f"No archive could be read: {examples([archive.fault for archive in self._done])}")
        return ReadArchives(self._list.folder, tuple(self._done))

    @cached_property
    def _threads(self) -> int:
        return readers(len(self._names))

    def _tell(self) -> None:
        number = len(self._done)
        name = self._names[number] if number < len(self._names) else ""
        note = self._heard.notes.get(name)
        self._reporter.progress(WORK, number, len(self._names), f"{name}: {note}" if note else "")

    def _read(self, number: int, go_on: Callable[[], None]) -> ReadArchive:
        self._heard.go_on = self._tell if self._threads == 1 else go_on
        name = self._names[number]
        archive = self._archives[name]
        artifact = self._list.unchanged(name, archive)
        if artifact is not None:
            return self._told(name, artifact, reused=True)
        # what is bad is in the artifact in any case: who then wants to go on without it need not read the others again
        options = self._options.model_copy(update={"path": self._list.archives[name].path, "on_bad": "reject"})
        try:
            artifact = self._run.stage(ingest, options, name=name)
        except DataError as error:
            return ReadArchive(archive, fault=str(error).removeprefix("[ingest] "))
        assert artifact is not None
        for unused in leftovers(self._list.folder):
            if unused.parent.name == name:  # of others it may be what is being written
                shutil.rmtree(unused)
        return self._told(name, artifact, reused=False)

    def _told(self, name: str, artifact: Artifact, *, reused: bool) -> ReadArchive:
        held = summary([artifact.path])
        grouped = self._options.group_from_folder or self._options.annotations != "none"
        return ReadArchive(
            self._archives[name],
            artifact.path,
            pictures=held.rows,
            groups=held.groups,
            without_group=held.without_group if grouped else 0,
            rejected=len(artifact.table("rejects.parquet")),
            reused=reused,
        )

    def _settled(self, name: str, archive: ReadArchive) -> ReadArchive:
        """The archive, noted in the list; DataError where something cannot be read and the work is to end then."""
        entry = self._list.archives[name]
        if self._options.stops_at_bad and (archive.fault or archive.rejected):
            fault = archive.fault or _first_reject(archive)
            raise DataError(f"{fault.removesuffix('.')}, or go on without it by --on-bad reject.")
        if archive.fault and (self._list.folder / name).exists():
            shutil.rmtree(self._list.folder / name)  # what was read of it when it was another archive
        entry.read, entry.fault = not archive.fault, archive.fault
        self._list.write()
        return archive


def _first_reject(archive: ReadArchive) -> str:
    assert archive.folder is not None
    return str(Reject(**Artifact(archive.folder).table("rejects.parquet").slice(0, 1).to_pylist()[0]))
