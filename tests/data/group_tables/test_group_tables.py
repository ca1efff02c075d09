"""Every work on tables: which ones are named, what is left of them whatever happens, and all of it against brute force."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.group_tables.tables import items, read, two_tables, write
from likewise.artifacts.draft import Draft
from likewise.artifacts.run import Run
from likewise.data.group_tables import files
from likewise.data.group_tables.deduplicate import deduplicate
from likewise.data.group_tables.files import Writer, tables_at
from likewise.data.group_tables.merge import merge
from likewise.data.group_tables.repair import repair
from likewise.data.group_tables.small_groups import drop_single
from likewise.data.group_tables.summary import summary
from likewise.errors import DataError


def test_files_and_folders_are_named(tmp_path: Path) -> None:
    first, second = two_tables(tmp_path / "in")
    (tmp_path / "in" / ".hidden.parquet").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_bytes(b"")
    assert tables_at([tmp_path / "in"]) == [first, second] == tables_at([first, second])


def test_of_what_ingest_has_written_the_items_are_taken(tmp_path: Path) -> None:
    with Run(tmp_path / "run") as r:
        written = r.stage(ingested, {}, name="ingest")
    assert written is not None
    expected = [written.path / "items-00000.parquet"]
    assert tables_at([written.path]) == expected == tables_at([tmp_path / "run"])
    assert summary([tmp_path / "run"]).rows == 2


def ingested(draft: Draft, options: object) -> None:
    draft.write_table("items-00000.parquet", items(["a", "b"], ["x", "y"]))
    draft.write_table("pairs.parquet", pa.table({"a": [0], "b": [1]}))


def test_of_any_other_folder_all_tables_are_taken(tmp_path: Path) -> None:
    """Also beside tables that are called as ingest calls its own."""
    names = ["MORE.PARQUET", "items-00000.parquet", "more.parquet"]
    paths = [write(tmp_path / name, items([name], ["x"])) for name in names]
    assert tables_at([tmp_path]) == paths
    merge([tmp_path], tmp_path / "out")
    assert read(tmp_path / "out")["id"].to_pylist() == names


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "No table is named"),
        (["absent.parquet"], "does not exist"),
        (["empty"], "holds no .parquet file"),
        (["in", "in/../in/1.parquet"], "is named twice"),
    ],
)
def test_tables_that_cannot_be_named(tmp_path: Path, names: list[str], reason: str) -> None:
    two_tables(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=reason):
        tables_at([tmp_path / name for name in names])


rows_of_items = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["x", "y", "z", None])), max_size=30)


@given(rows_of_items, rows_of_items, st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_against_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[str, str | None]],
    second: list[tuple[str, str | None]],
    least: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows = [*first, *second]
    tables = [items([name for name, _ in part], [group for _, group in part]) for part in (first, second)]
    paths = [write(folder / f"{n}.parquet", table, rows=3) for n, table in enumerate(tables)]
    members = {group: {name for name, of in rows if of == group} for _, group in rows if group is not None}

    def pairs(target: str) -> list[tuple[str, str | None]]:
        table = read(folder / target)
        return list(zip(table["id"].to_pylist(), table["group"].to_pylist(), strict=True))

    merge(paths, folder / "merged", rows_per_file=7)
    assert pairs("merged") == rows
    drop_single(paths, folder / "groups", at_least=least)
    assert pairs("groups") == [(name, group) for name, group in rows if group is None or len(members[group]) >= least]
    deduplicate(paths, folder / "distinct")
    assert pairs("distinct") == [row for place, row in enumerate(rows) if row[0] not in {name for name, _ in rows[:place]}]
    found = summary(paths)
    sizes = sorted(len(each) for each in members.values())
    assert (found.rows, found.ids, found.groups) == (len(rows), len({name for name, _ in rows}), len(members))
    assert found.without_group == sum(group is None for _, group in rows)
    if sizes:
        per_group = found.images_per_group
        assert per_group is not None
        assert (per_group.least, per_group.most, per_group.median) == (sizes[0], sizes[-1], np.median(sizes))
        assert per_group.mean == pytest.approx(np.mean(sizes))
        assert {each: each.groups for each in per_group.histogram} == {
            each: sum(each.low <= size <= each.high for size in sizes) for each in per_group.histogram
        }
        assert sum(each.groups for each in per_group.histogram) == len(sizes)


WORKS: dict[str, Callable[[Sequence[Path], Path], Any]] = {
    "merge": merge,
    "deduplicate": deduplicate,
    "drop_single": drop_single,
    "repair": repair,
    "summary": lambda paths, target: summary(paths),
}
WRITING = [name for name in WORKS if name != "summary"]
MODULES = {name: f"likewise.data.group_tables.{name}" for name in WORKS} | {
    "drop_single": "likewise.data.group_tables.small_groups"
}


@pytest.mark.parametrize("name", WRITING)
def test_a_target_that_is_there_is_not_touched(tmp_path: Path, name: str) -> None:
    paths = two_tables(tmp_path / "in")
    (tmp_path / "out").mkdir()
    WORKS[name](paths, tmp_path / "out")  # an empty folder may be filled
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    for target in (tmp_path / "out", tmp_path / "in", paths[0]):
        with pytest.raises(DataError, match="is there already"):
            WORKS[name](paths, target)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


@pytest.mark.parametrize("name", WRITING)
def test_a_target_that_cannot_be_made(tmp_path: Path, name: str) -> None:
    paths = two_tables(tmp_path / "in")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").symlink_to("empty")
    for target, reason in ((paths[0] / "out", "cannot be written"), (tmp_path / "link", "there"), (tmp_path / "other", "there")):
        with pytest.raises(DataError, match=reason) as caught:
            WORKS[name](paths, target)
        assert str(target) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["empty", "in", "link", "other"]


def test_slices_without_rows_do_not_pile_up(tmp_path: Path) -> None:
    table = items(["a"], ["x"])
    with Writer(tmp_path / "1.parquet", table.schema) as writer:
        for _ in range(100):
            writer.add(table.slice(1))
        assert writer._waiting["id"].num_chunks <= 1
        writer.add(table)
    assert pq.read_table(tmp_path / "1.parquet").equals(table)


@pytest.mark.parametrize("name", WRITING)
def test_row_groups_are_small_and_pages_have_checksums(tmp_path: Path, name: str) -> None:
    ids = [f"{n:04d}" for n in range(1000)]
    noise = [np.random.default_rng(n).bytes(200) for n in range(1000)]  # cannot be compressed, so it is found in the file
    table = items(ids, ["x" if n % 3 else None for n in range(1000)], image=noise)
    path = write(tmp_path / "in" / "1.parquet", table, rows=1000)
    WORKS[name]([path], tmp_path / "out")
    (written,) = (tmp_path / "out").iterdir()
    groups = pq.read_metadata(written)
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [64] * 15 + [40]
    assert pq.read_table(written).select(["id"]).equals(pq.read_table(path).select(["id"]))
    damaged = bytearray(written.read_bytes())
    damaged[damaged.index(noise[500][50:100])] ^= 1
    written.write_bytes(damaged)
    with pytest.raises(DataError, match="is damaged after row"):
        WORKS[name]([written], tmp_path / "out2")


MEASURED = """
import sys
from pathlib import Path
import pyarrow as pa
from importlib import import_module

module, name, source, target = sys.argv[1:]
named = [] if name == "summary" else [Path(target)]
getattr(import_module(module), name)([Path(source)], *named)
print(pa.default_memory_pool().max_memory())
"""


@pytest.fixture(scope="module")
def large_tables(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Tables of 100 MB by the rows of a row group: as they are written here, and as others write them."""
    folder = tmp_path_factory.mktemp("large")
    generator = np.random.default_rng(0)
    ids = [str(n) for n in range(5000)]
    table = items(ids, ["x"] * len(ids), image=[generator.bytes(20_000) for _ in ids])
    return {rows: write(folder / f"{rows}.parquet", table, rows) for rows in (64, len(ids))}


@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize(("rows", "most"), [(64, 20_000_000), (5000, 75_000_000)])  # there a page has 1024 rows
def test_memory_does_not_grow_with_the_table(
    tmp_path: Path, large_tables: dict[int, Path], name: str, rows: int, most: int
) -> None:
    path = large_tables[rows]
    assert path.stat().st_size > 100_000_000
    command = [sys.executable, "-c", MEASURED, MODULES[name], name, str(path), str(tmp_path / "out")]
    measured = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(measured.stdout) < (most if name != "summary" else 2_000_000)


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from importlib import import_module

class Dying(pq.ParquetWriter):
    written = 0
    def write_table(self, *arguments, **named):
        super().write_table(*arguments, **named)
        Dying.written += 1
        if Dying.written == 3:
            os.kill(os.getpid(), signal.SIGKILL)

pq.ParquetWriter = Dying
module, name, sources, target = sys.argv[1:]
getattr(import_module(module), name)([Path(each) for each in sources.split(",")], None if target == "in place" else Path(target))
"""


@pytest.mark.parametrize("name", [*WRITING, "in place"])
def test_a_killed_writer_leaves_nothing_half_written(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    paths = [
        write(folder / f"{n}.parquet", items([f"{n}-{m}" for m in range(200)], ["x"] * 200).drop_columns(["shard"])) for n in "12"
    ]
    if name == "in place":
        paths = [write(path, pq.read_table(path).rename_columns(["image_id", "group", "image"])) for path in paths]
    before = {path: path.read_bytes() for path in paths}
    target = "in place" if name == "in place" else str(tmp_path / "out")
    work = "repair" if name == "in place" else name
    command = [sys.executable, "-c", KILLED, MODULES[work], work, ",".join(map(str, paths)), target]
    killed = subprocess.run(command, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert {path: path.read_bytes() for path in paths} == before
    assert tables_at([folder]) == paths  # the unfinished one is hidden
    assert not (tmp_path / "out").exists()
    if name == "in place":
        repair(paths)
        assert pq.read_table(paths[1]).column_names[0] == "id"
    else:
        WORKS[name](paths, tmp_path / "out")
        assert len(read(tmp_path / "out")) == 400


@pytest.mark.parametrize("name", WRITING)
def test_a_failing_disk_leaves_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = two_tables(tmp_path / "in")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync_tree", full)
    with pytest.raises(OSError, match="No space"):
        WORKS[name](paths, tmp_path / "out")
    assert os.listdir(tmp_path) == ["in"]


def error_of(work: Callable[[], Any]) -> DataError | None:
    try:
        work()
    except DataError as error:
        return error
    return None


@pytest.mark.parametrize("name", WORKS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damaged_files_are_an_error_or_read(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = write(folder / "1.parquet", items(list("abcd"), ["x", "x", "y", None], width=[1, 2, 3, 4]), rows=2)
    content = bytearray(path.read_bytes())
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 9))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[:cut])
    error = error_of(lambda: WORKS[name]([path], folder / "out"))
    assert error is None or str(path) in str(error)
    assert (folder / "out").exists() == (error is None and name != "summary")
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 3, b"id,group\na,x\n", bytes(1000)])
@pytest.mark.parametrize("name", WORKS)
def test_what_is_no_parquet_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "1.parquet").write_bytes(content)
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        WORKS[name]([tmp_path / "1.parquet"], tmp_path / "out")
    assert os.listdir(tmp_path) == ["1.parquet"]
