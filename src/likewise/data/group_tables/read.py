"""Archives of pictures as tables: each archive an artifact of its own, several read at a time.

An archive that was read and has not changed is not read again, so a call that was ended goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Reporter, Silence
from likewise.artifacts.files import storable
from likewise.artifacts.run import LOG, Run
from likewise.data.archives import archives_at
from likewise.data.group_tables.archive_list import LIST, ArchiveList, Entry, state_of
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
OURS = (LIST, LOG, ".lock")


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
    if not encodable(str(into.absolute())):
        raise DataError(f"{storable(into)} is a name that is not UTF-8; name another folder.")
    with ExitStack() as held:
        try:
            if not (into / LIST).is_file() and into.exists() and not all(map(_is_ours, into.iterdir())):
                raise DataError(f"{into} is there already, and holds other things; name a new folder.")
            run = held.enter_context(Run(into, reporter=heard))
        except OSError as error:
            raise DataError(f"{into} cannot be written ({error.strerror}); name a folder elsewhere.") from error
        return _Reading(archives, _listed(into, archives, options), options, run, heard, reporter or Silence()).done()


def _is_ours(path: Path) -> bool:
    """Whether a call leaves this that was ended before it had listed its archives."""
    return path.name in OURS or path.name.startswith(f".{LIST}.")


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """The archives by the names of their folders."""
    found: dict[str, Path] = {}
    for archive in (archive for path in paths for archive in archives_at(path)):
        if not encodable(str(archive.absolute())):
            raise DataError(f"{storable(archive)} has a name that is not UTF-8; rename it.")
        name = safe_name(archive.name)
        if name in OURS:
            raise DataError(f"{archive} is called like a file that is written beside it; rename it.")
        other = found.setdefault(name, archive)
        if other is archive:
            continue
        if other.resolve() == archive.resolve():
            raise DataError(f"{archive} is named twice; name it once.")
        raise DataError(f"{other} and {archive} have one name; rename one, or read it into another folder.")
    return found


def _listed(into: Path, archives: dict[str, Path], options: ImageArchiveOptions) -> ArchiveList:
    """The list of the folder with these archives, stored."""
    wanted = _described(options)
    listed = ArchiveList.of(into) or ArchiveList(into, wanted)
    before = {**_described(ImageArchiveOptions(path="")), **listed.options}
    if before != wanted:
        other = ", ".join(f"{name} = {value}" for name, value in before.items() if wanted.get(name) != value)
        raise DataError(f"{into} was read with {other}; read it so again, or name another folder.")
    _forget_gone(listed, archives)
    for name, archive in archives.items():
        _refuse_confusion(listed, name, archive)
        entry = listed.archives.setdefault(name, Entry(""))
        entry.path = str(archive.absolute())
        entry.left_out = False
        entry.read = entry.read and (entry.state, entry.version) == (state_of(archive), INGEST_VERSION)
    listed.write()
    return listed


def _refuse_confusion(listed: ArchiveList, name: str, archive: Path) -> None:
    """DataError where the archive's folder is something else, and where another archive had its name, or this another one."""
    folder, state = listed.folder / name, state_of(archive)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{folder} is there already, and is no folder; move it, or name another folder.")
    before = listed.archives.get(name)
    if before and before.state not in ([], state) and Path(before.path).resolve() != archive.resolve():
        raise DataError(f"{listed.folder} has what was read of {before.path}, whose name is the same; name another folder.")
    for other, entry in listed.archives.items():
        if other != name and entry.read and entry.state == state and not Path(entry.path).exists():
            raise DataError(f"{archive} seems to be {entry.path}, renamed; give it that name, or name another folder.")


def _described(options: ImageArchiveOptions) -> dict[str, Any]:
    """The options that decide what is read of an archive."""
    return options.model_dump(mode="json", exclude={"path", "on_bad"})


def _forget_gone(listed: ArchiveList, archives: dict[str, Path]) -> None:
    """Take out of the list what was never read, and cannot be any more."""
    for name, entry in list(listed.archives.items()):
        there = entry.read and (listed.folder / name).is_dir()
        if name not in archives and not there and not Path(entry.path).exists():
            listed.drop(name)
            del listed.archives[name]


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
        entry, state = self._list.archives[name], state_of(archive)
        artifact = self._list.artifact(name) if (entry.state, entry.version) == (state, INGEST_VERSION) else None
        if artifact is not None:
            self._heard.sentences[name] = list(artifact.remarks)
            return self._told(name, artifact, reused=True)
        self._list.drop_unused(name)  # what is unfinished is one shard, which is read as a whole
        # what is bad is in the artifact in any case: who then wants to go on without it need not read the others again
        options = self._options.model_copy(update={"path": entry.path, "on_bad": "reject"})
        try:
            artifact = self._run.stage(ingest, options, name=name)
        except DataError as error:
            self._list.drop_unused(name)
            return ReadArchive(archive, fault=str(error).removeprefix("[ingest] "))
        assert artifact is not None
        entry.state, entry.version = state, INGEST_VERSION
        self._list.drop_unused(name)
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
        entry, stops = self._list.archives[name], self._options.stops_at_bad
        bad = archive.fault or (_first_reject(archive) if archive.rejected else "")
        entry.fault = bad if archive.fault or stops else ""
        entry.read = not entry.fault
        entry.left_out = bool(archive.fault) and not stops
        if entry.left_out and self._list.drop(name):
            archive = replace(archive, fault=f"{archive.fault} What was read of it before it changed is removed.")
        self._list.write()
        if entry.fault and stops:
            raise DataError(f"{bad.removesuffix('.')}, or go on without it by --on-bad reject.")
        return archive


def _first_reject(archive: ReadArchive) -> str:
    assert archive.folder is not None
    return str(Reject(**Artifact(archive.folder).table("rejects.parquet").slice(0, 1).to_pylist()[0]))
