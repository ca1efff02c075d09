from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from likewise.artifacts.draft import Silence
from likewise.checking import CheckResult, check
from likewise.pipeline import run
from likewise.testing.encoders import tiny_text_model
from tiny_runs import tiny_recipe, write_pairs


def checked(folder: Path, **sections: Any) -> CheckResult:
    path = folder / "pairs.csv"
    if not path.exists():
        write_pairs(path)
    return check(tiny_recipe(path, **sections), folder / "run", Silence())


def fact(found: CheckResult, label: str) -> str:
    (row,) = [row for row in found.facts if row.label == label]
    return row.value


def problem(found: CheckResult, words: str) -> str:
    (sentence,) = [sentence for sentence in found.problems if words in sentence]
    return sentence


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("anchor", "positive"), *rows])


def words(start: int, count: int = 12) -> str:
    return " ".join(f"w{start * 31 + step * 7}" for step in range(count))


def test_counts_lengths_and_estimates(tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert fact(found, "rows") == "240 read"
    assert fact(found, "queries") == "240"
    assert fact(found, "documents") == "240, of which 0 are no query's positive"
    counts = [int(fact(found, split).split()[0]) for split in ("train", "validation", "test")]
    assert sum(counts) == 240
    assert all(counts)
    assert "longest" in fact(found, "document characters")
    assert "half below" in fact(found, "query tokens")
    assert [one.stage for one in found.estimates] == ["fit", "embed", "mine", "train", "embed-after", "evaluate", "index"]
    for one in found.estimates:
        for needed in (one.seconds, one.memory, one.disk):
            assert 0 < needed.low <= needed.high
    assert [row.label for row in found.rows if row.label.startswith("estimate")][-1] == "estimate: all stages"
    assert found.free_disk > 0
    assert not [sentence for sentence in found.problems if "fewer" in sentence or "No test" in sentence]


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: when it was changed, and what it holds."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_a_run_has_in_force_stays_so(tmp_path: Path) -> None:
    run(tiny_recipe(write_pairs(tmp_path / "pairs.csv")), tmp_path / "run", until="split")
    before = files(tmp_path / "run")
    others = write_pairs(tmp_path / "others.csv", pairs=60, seed=1)
    found = check(tiny_recipe(others), tmp_path / "run", Silence())
    assert fact(found, "rows") == "60 read"
    after = files(tmp_path / "run")
    assert {name: after[name] for name in before if name != "log.jsonl"} == {
        name: known for name, known in before.items() if name != "log.jsonl"
    }


@pytest.mark.parametrize("order", [(run, check), (check, run)])
def test_what_one_has_read_the_other_does_not_read_again(order: tuple[Any, Any], tmp_path: Path) -> None:
    recipe = tiny_recipe(write_pairs(tmp_path / "pairs.csv"))
    first, second = (
        (lambda reporter: run(recipe, tmp_path / "run", until="split", reporter=reporter))
        if work is run
        else (lambda reporter: check(recipe, tmp_path / "run", reporter))
        for work in order
    )
    first(Silence())
    done: list[tuple[str, bool]] = []

    class Watching(Silence):
        def finished(self, stage: str, seconds: float, reused: bool) -> None:
            done.append((stage, reused))

    second(Watching())
    assert done == [("ingest", True), ("fingerprint", True), ("split", True)]


def test_more_epochs_are_estimated_to_take_longer(tmp_path: Path) -> None:
    few, many = (checked(tmp_path, train={"epochs": epochs}) for epochs in (2, 4000))
    first, second = (next(one for one in found.estimates if one.stage == "train").seconds for found in (few, many))
    assert second.high > 2 * first.high


def test_too_few_of_everything(tmp_path: Path) -> None:
    write(tmp_path / "pairs.csv", [(words(number), words(1000 + number)) for number in range(30)])
    found = checked(tmp_path, train={"batch_size": 64}, mine={"range_max": 50})
    assert "pairs to train on" in problem(found, "pairs to train on")
    assert problem(found, "[train] batch_size = 64 is more than the")
    assert problem(found, "Training has only about")
    assert problem(found, "validation queries the checkpoint is chosen by chance")
    assert problem(found, "test queries, and the verdict needs 25")
    assert problem(found, "[mine] range_max = 50 is more than the 30 documents")


def test_no_validation_and_no_test(tmp_path: Path) -> None:
    found = checked(tmp_path, split={"validation": 0.0, "test": 0.0})
    assert problem(found, "There is no validation query")
    assert problem(found, "No test query")


def test_near_duplicates(tmp_path: Path) -> None:
    write(tmp_path / "pairs.csv", [(words(number // 3 * 50, 30) + f" x{number}", words(number)) for number in range(90)])
    found = checked(tmp_path)
    assert fact(found, "near-duplicates") == "60 items are alike to an earlier one"
    assert problem(found, "of the items are near-duplicates of another")


def test_documents_that_nobody_asks_for(tmp_path: Path) -> None:
    rows = [{"anchor": words(number), "positive": words(1000 + number), "negative": words(5000 + number)} for number in range(60)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = check(tiny_recipe(path), tmp_path / "run", Silence())
    assert fact(found, "documents") == "120, of which 60 are no query's positive"
    assert fact(found, "pairs") == "60 alike, 60 known not to be alike"


def test_rejected_rows(tmp_path: Path) -> None:
    write(tmp_path / "pairs.csv", [*((words(number), words(1000 + number)) for number in range(120)), ("lonely", "")])
    found = checked(tmp_path, ingest={"on_bad": "reject"})
    assert fact(found, "rows") == "121 read, 1 rejected"
    assert "pairs.csv, row 122: " in problem(found, "1 of 121 rows were rejected; the first: ")


def test_texts_that_are_cut(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "pairs.csv")
    model = tiny_text_model(tmp_path / "model", texts=path.read_text().splitlines())
    encoder = {"kind": "text", "model": str(model), "max_length": 10}
    found = checked(tmp_path, encoder=encoder, train={"max_length": 5, "epochs": 1})
    assert problem(found, "100% of the document texts reach 10 tokens")
    assert problem(found, "100% of the query texts are cut in training by [train] max_length = 5")
    assert found.estimates


def test_a_model_that_is_not_there_is_a_problem_and_the_rest_is_told(tmp_path: Path) -> None:
    found = checked(tmp_path, encoder={"kind": "text", "model": str(tmp_path / "absent")})
    assert problem(found, "absent")
    assert fact(found, "queries") == "240"
    assert found.estimates == ()


def test_a_recipe_without_a_split(tmp_path: Path) -> None:
    found = checked(tmp_path, split=None, mine=None, train=None, evaluate=None)
    assert found.problems == ()
    assert [one.stage for one in found.estimates] == ["fit", "embed", "index"]


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.checking.shutil.disk_usage", lambda path: type("Usage", (), {"free": 10_000})())
    assert problem(checked(tmp_path), "of disk, and 10 kB are free at")


def test_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.checking._memory", lambda: 100_000_000)
    assert problem(checked(tmp_path), "and this machine has 100 MB")


def test_as_json(tmp_path: Path) -> None:
    told = json.loads(json.dumps(checked(tmp_path).as_json()))
    assert {"label": "queries", "value": "240"} in told["facts"]
    low, high = next(one["seconds"] for one in told["estimates"] if one["stage"] == "embed")
    assert 0 < low <= high
