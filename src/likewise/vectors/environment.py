"""An LMDB environment whose map grows by itself, opened once in a process however many use it."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import lmdb

from likewise.errors import DamagedArtifact, DataError

T = TypeVar("T")

FIRST_MAP_BYTES = 64 << 20
"""The map grows by doubling; it is address space, the file grows as it is filled."""
WRITING, READING = "writing.lock", "reading.lock"
READERS = 1024
"""Reading transactions at once, over all processes; LMDB's own 126 is few for a cluster node."""


class Environment:
    """Transactions on a folder. LMDB refuses to open a folder twice in one process, so environments are shared and counted."""

    _open: ClassVar[dict[tuple[int, str], Environment]] = {}
    _registry_lock = threading.Lock()

    def __init__(self, path: Path, tables: tuple[str, ...]) -> None:
        self._users = 0
        self._closed = False
        self._lock = threading.RLock()  # the map may only grow while no transaction of this process is open
        self._key = (os.getpid(), str(path))
        self._path = path
        with self._lock, self._held(WRITING):
            try:
                self._lmdb = lmdb.open(
                    str(path), map_size=FIRST_MAP_BYTES, max_dbs=len(tables), max_readers=READERS, metasync=False, readahead=False
                )
            except lmdb.Error as error:
                raise self._unreadable(error) from error
            try:
                self._run(self._fill, write=True)
                self._forget_killed_readers()
                self.tables = self._run(partial(self._open_tables, tables), write=True)
            except BaseException:
                self._lmdb.close()  # or this process could not open the folder again, once it is mended
                raise

    @classmethod
    def open(cls, path: Path, tables: tuple[str, ...]) -> Self:
        """The environment of a folder: the one that this process has open, or a new one. `close` gives it back."""
        path = path.expanduser().resolve()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{path} cannot be a cache ({error.strerror}); name a folder that can be written.") from error
        with cls._registry_lock:
            found = cls._open.get((os.getpid(), str(path)))
            if found is None:
                found = cls._open[os.getpid(), str(path)] = cls(path, tables)
            found._users += 1
            assert isinstance(found, cls)
            return found

    def close(self) -> None:
        """Give the environment back; the last user closes it."""
        with self._registry_lock:
            self._users -= 1
            if self._users == 0:
                self._open.pop(self._key, None)
                with self._lock:  # no transaction of another thread is open
                    self._lmdb.close()
                    self._closed = True

    def read(self, work: Callable[[Any], T]) -> T:
        """Run `work(transaction)` on a snapshot."""
        with self._lock:
            self._check_open()
            return self._run(work, write=False)

    def write(self, work: Callable[[Any], T]) -> T:
        """Run `work(transaction)` as the only writer of all processes; it is run again, from its start, if the map must grow."""
        with self._lock, self._held(WRITING):
            self._check_open()
            return self._run(work, write=True)

    def _check_open(self) -> None:
        if self._closed:
            raise DataError(f"The cache {self._path} was closed while it was in use; open it again.")

    @contextmanager
    def _held(self, lock: str) -> Iterator[None]:
        """While no other process holds this lock.

        LMDB has its own, but they are futexes, and processes may be killed: when one that was just woken to take a futex is
        killed, and another takes it meanwhile and frees it, whoever else waits is never woken. File locks have no such gap, so
        whatever takes one of LMDB's locks first takes the file lock for it: then nobody waits for a futex.
        """
        with (self._path / lock).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def _begin(self, write: bool) -> Any:
        if write:
            return self._lmdb.begin(write=True, buffers=True)
        with self._held(READING):  # only while a place among the readers is taken
            return self._lmdb.begin(buffers=True)

    def _forget_killed_readers(self) -> int:
        """How many there were; they keep pages from being used again."""
        with self._held(READING):
            return int(self._lmdb.reader_check())

    def _run(self, work: Callable[[Any], T], *, write: bool) -> T:
        while True:
            try:
                with self._begin(write) as transaction:
                    return work(transaction)
            except lmdb.MapFullError:
                if not self._forget_killed_readers():
                    self._lmdb.set_mapsize(2 * self._lmdb.info()["map_size"])
            except lmdb.MapResizedError:  # by another process
                self._lmdb.set_mapsize(0)
            except lmdb.DiskError as error:
                raise DataError(
                    f"{self._path} cannot be written ({error}); make room on its disk, or keep the cache elsewhere."
                ) from error
            except lmdb.Error as error:
                raise self._unreadable(error) from error

    def _open_tables(self, names: tuple[str, ...], transaction: Any) -> dict[str, Any]:
        return {name: self._lmdb.open_db(name.encode(), txn=transaction) for name in names}

    def _fill(self, transaction: Any) -> None:
        """Make the file as long as LMDB takes it to be; called while no process writes.

        It may be shorter for a good reason (pages taken and given back by one transaction are never written) or because it was
        cut off. A look at a page beyond its end would end the process; a page of zeros is an error, or a damaged value.
        """
        data = self._path / "data.mdb"
        needed = (self._lmdb.info()["last_pgno"] + 1) * self._lmdb.stat()["psize"]
        if data.stat().st_size < needed:
            os.truncate(data, needed)

    def _unreadable(self, error: lmdb.Error) -> DamagedArtifact:
        return DamagedArtifact(
            f"{self._path} is not a cache that can be read ({error}); delete the folder, its vectors are computed again."
        )
