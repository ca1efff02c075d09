"""An LMDB environment whose map grows by itself, opened once in a process however many use it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import lmdb

from likewise.errors import DamagedArtifact

T = TypeVar("T")

FIRST_MAP_BYTES = 64 << 20
"""The map grows by doubling; it is address space, the file grows as it is filled."""
READERS = 1024
"""Reading transactions at once, over all processes; LMDB's own 126 is few for a cluster node."""


class Environment:
    """Transactions on a folder. LMDB refuses to open a folder twice in one process, so environments are shared and counted."""

    _open: ClassVar[dict[tuple[int, str], Environment]] = {}
    _registry_lock = threading.Lock()

    def __init__(self, path: Path, tables: tuple[str, ...]) -> None:
        self._users = 0
        self._lock = threading.RLock()  # the map may only grow while no transaction of this process is open
        self._key = (os.getpid(), str(path))
        path.mkdir(parents=True, exist_ok=True)
        try:
            self._lmdb = lmdb.open(
                str(path), map_size=FIRST_MAP_BYTES, max_dbs=len(tables), max_readers=READERS, metasync=False, readahead=False
            )
            self._check_size(path)
            self._lmdb.reader_check()  # forget readers that were killed
            self.tables = self.write(lambda txn: {name: self._lmdb.open_db(name.encode(), txn=txn) for name in tables})
        except lmdb.Error as error:
            raise DamagedArtifact(
                f"{path} is not a cache that can be read ({error}); delete the folder, its vectors are computed again."
            ) from error

    @classmethod
    def open(cls, path: Path, tables: tuple[str, ...]) -> Self:
        """The environment of a folder: the one that this process has open, or a new one. `close` gives it back."""
        path = path.expanduser().resolve()
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
                self._lmdb.close()

    def read(self, work: Callable[[Any], T]) -> T:
        """Run `work(transaction)` on a snapshot."""
        return self._run(work, write=False)

    def write(self, work: Callable[[Any], T]) -> T:
        """Run `work(transaction)` as the only writer of all processes; it is run again, from its start, if the map must grow."""
        return self._run(work, write=True)

    def _run(self, work: Callable[[Any], T], *, write: bool) -> T:
        with self._lock:
            while True:
                try:
                    with self._lmdb.begin(write=write, buffers=True) as transaction:
                        return work(transaction)
                except lmdb.MapFullError:
                    self._lmdb.set_mapsize(2 * self._lmdb.info()["map_size"])
                except lmdb.MapResizedError:  # by another process
                    self._lmdb.set_mapsize(0)

    def _check_size(self, path: Path) -> None:
        """A file that was cut off would end the process at the first look at a page that is not there."""
        needed = (self._lmdb.info()["last_pgno"] + 1) * self._lmdb.stat()["psize"]
        size = (path / "data.mdb").stat().st_size
        if size < needed:
            self._lmdb.close()
            raise DamagedArtifact(
                f"{path / 'data.mdb'} has {size} bytes where {needed} are needed; "
                "delete the folder, its vectors are computed again."
            )
