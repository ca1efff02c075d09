"""Pictures in tar archives, as a stream: each archive is a shard, and the encoded pictures go into its table of items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path, PurePosixPath

from likewise.data.archive_pairs import Pair, paired
from likewise.data.image_refs import PICTURES
from likewise.data.images import Wanted, read_images, readers
from likewise.data.options import ImageArchiveOptions
from likewise.data.pairs import safe_name
from likewise.data.street_view import parse
from likewise.data.tar_members import Member, Members, members
from likewise.errors import DataError
from likewise.types import Items, Reject, Remark, Withdrawn

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class ImageArchiveSource:
    """The archives of a folder, or one, with the annotations beside the pictures or without."""

    Options = ImageArchiveOptions

    def __init__(self, options: ImageArchiveOptions, seed: int = 0) -> None:
        self._options = options

    def shards(self) -> Sequence[str]:
        """The archives, by name."""
        return list(self._archives)

    def files(self, shard: str) -> Sequence[Path]:
        """The archive."""
        return [self._archives[shard]]

    @property
    def readers(self) -> int:
        """Archives read at the same time."""
        return readers(len(self._archives))

    def read(self, shard: str) -> Iterator[Items | Reject | Remark | Withdrawn]:
        """The pictures of an archive, and what was passed over. With annotations the id is dataset and patch, the group dataset
        and target. An archive that cannot be read to its end is withdrawn: what is damaged may be wrong before it shows."""
        path = self._archives[shard]
        try:
            with closing(members(path)) as stream:
                yield from read_images(shard, self._wanted(path, stream), self._options.frame)
                yield from map(Remark, stream.sentences())
        except DataError as error:
            yield Withdrawn(Reject(str(path), None, f"{error.reason}, so that none of its pictures is used", error.remedy))

    def _wanted(self, path: Path, stream: Members) -> Iterator[Wanted | Reject]:
        if self._options.annotations == "street_view":
            for each in paired(stream, str(path)):
                yield each if isinstance(each, Reject) else _annotated(each, path)
            return
        for member in stream:
            if isinstance(member, Reject):
                yield member
            elif member.name.lower().endswith(PICTURES):
                yield Wanted(member.data, member.name, self._columns(member), str(path))
            else:
                ending = PurePosixPath(member.name).suffix.lower() or "nothing"
                stream.passed_over[f"files that end in {ending}"] += 1

    def _columns(self, member: Member) -> dict[str, str | None]:
        if not self._options.group_from_folder:
            return {}
        folder, _, _ = member.name.rpartition("/")
        return {"group": folder.split("/")[0] or None}

    @cached_property
    def _archives(self) -> dict[str, Path]:
        return {safe_name(path.name): path for path in archives_at(Path(self._options.path))}


def archives_at(path: Path) -> list[Path]:
    """The archives of a folder, by name, or the one that is named; DataError where there is none."""
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"{path} does not exist; name an archive, or a folder of archives.")
        return [path]
    named = (file for file in path.iterdir() if file.name.lower().endswith(ENDINGS) and not file.name.startswith("."))
    found = sorted(file for file in named if not file.is_dir())
    if not found:
        raise DataError(f"{path} holds no archive; put {', '.join(ENDINGS)} files there, or name another folder.")
    return found


def _annotated(pair: Pair, path: Path) -> Wanted | Reject:
    """A picture with its annotation; a Reject where this is not one."""
    try:
        view = parse(pair.text, f"{pair.stem}.txt")
    except DataError as error:
        return Reject(str(path), None, error.reason, error.remedy)
    return Wanted(pair.image, view.id, {"group": view.group, **view.columns()}, str(path), name=pair.image_name)
