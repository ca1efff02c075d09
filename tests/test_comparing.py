from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from likewise.comparing import HANDED_OVER, Comparison, compare
from likewise.errors import UserError
from likewise.evaluation.verdict import interval
from likewise.pipeline import run
from tiny_runs import tiny_recipe, write_pairs


def queries(folder: Path) -> dict[str, float]:
    key = (folder / "evaluate" / "current").read_text().strip()
    table = pq.read_table(folder / "evaluate" / key / "queries.parquet")
    return dict(zip(table["id"].to_pylist(), table["ndcg@10 after"].to_pylist(), strict=True))


def measured(found: Comparison, system: str, metric: str) -> tuple[float | None, float | None]:
    ((first, second),) = [(row.first, row.second) for row in found.measured if (row.system, row.metric) == (system, metric)]
    return first, second


def test_both_runs_side_by_side(kept_run: Path, trained_run: Path) -> None:
    found = compare(kept_run, trained_run)
    first, second = measured(found, HANDED_OVER, "ndcg@10")
    assert first == pytest.approx(np.mean(list(queries(kept_run).values())))
    assert second == pytest.approx(np.mean(list(queries(trained_run).values())))
    same = measured(found, "bm25", "ndcg@10")
    assert same[0] == same[1]
    assert ("ndcg@10  handed over", f"{first:.4f}", f"{second:.4f}") in found.metrics


def test_the_paired_verdict_is_that_of_the_common_queries(kept_run: Path, trained_run: Path) -> None:
    found = compare(kept_run, trained_run)
    before, after = queries(kept_run), queries(trained_run)
    common = [name for name in before if name in after]
    difference = np.array([after[name] - before[name] for name in common])
    assert found.verdict is not None
    assert found.queries == len(common) == len(before)
    assert found.verdict.difference == pytest.approx(difference.mean())
    assert found.verdict.wins == (difference > 1e-12).sum()
    assert found.verdict.losses == (difference < -1e-12).sum()
    expected = interval(difference, np.ones(len(difference)), resamples=500, seed=0)
    assert found.verdict.interval_95 == pytest.approx(expected)
    assert found.verdict.verdict == "better"
    assert found.sentence.startswith(f"{trained_run} is better than {kept_run}: nDCG@10 ")


def test_the_other_way_round_it_is_worse(kept_run: Path, trained_run: Path) -> None:
    forth, back = compare(kept_run, trained_run), compare(trained_run, kept_run)
    assert forth.verdict is not None
    assert back.verdict is not None
    assert back.verdict.verdict == "worse"
    assert back.verdict.difference == pytest.approx(-forth.verdict.difference)
    assert back.sentence.startswith(f"{kept_run} is worse than {trained_run}")


def test_a_run_against_itself(trained_run: Path) -> None:
    found = compare(trained_run, trained_run)
    assert found.verdict is not None
    assert found.verdict.difference == 0
    assert found.verdict.verdict == "no difference shown"
    assert found.differences == ()


def test_recipes_key_by_key(kept_run: Path, trained_run: Path) -> None:
    differences = {row.key: (row.first, row.second) for row in compare(kept_run, trained_run).differences}
    assert differences == {"name": ("kept", "trained"), "train.epochs": (1, 4), "train.learning_rate": (1e-12, 0.05)}


def test_a_section_that_one_lacks(kept_run: Path, trained_run: Path, tmp_path: Path) -> None:
    other = copy(trained_run, tmp_path / "other")
    recipe = (other / "recipe.toml").read_text().replace("[result]", "[unknown]")
    (other / "recipe.toml").write_text(recipe)
    rows = {key: (first, second) for key, first, second in compare(trained_run, other).recipe}
    assert rows["result.kind"] == ("index", "–")
    assert rows["unknown.kind"] == ("–", "index")


def copy(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def test_partly_common_queries_and_other_documents(trained_run: Path, pairs_file: Path, tmp_path: Path) -> None:
    lines = pairs_file.read_text().splitlines()
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("\n".join(lines[:161]) + "\n")
    run(tiny_recipe(fewer, "fewer", train={"epochs": 1}), tmp_path / "fewer")
    found = compare(trained_run, tmp_path / "fewer")
    common = set(queries(trained_run)) & set(queries(tmp_path / "fewer"))
    assert found.queries == len(common) > 0
    assert "test queries are in both" in found.sentence or len(common) == len(queries(tmp_path / "fewer"))
    assert "They search different corpora (240 and 160 documents)" in found.sentence


def test_no_common_query(trained_run: Path, tmp_path: Path) -> None:
    strangers = write_pairs(tmp_path / "strangers.csv", seed=1)
    run(tiny_recipe(strangers, "strangers", train={"epochs": 1}), tmp_path / "strangers")
    found = compare(trained_run, tmp_path / "strangers")
    assert (found.verdict, found.queries) == (None, 0)
    assert "share no test query" in found.sentence
    assert measured(found, HANDED_OVER, "ndcg@10")[1] is not None


def test_another_metric(trained_run: Path, pairs_file: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(pairs_file, "other", train={"epochs": 1}, evaluate={"metric": "recall@3", "others": ["mrr@10"]})
    run(recipe, tmp_path / "other")
    found = compare(trained_run, tmp_path / "other")
    assert found.verdict is not None
    assert found.verdict.metric == "mrr@10"
    assert measured(found, HANDED_OVER, "recall@3")[0] is None


def test_a_run_without_evaluation(trained_run: Path, pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file, "unmeasured", evaluate=None, train=None, mine=None), tmp_path / "unmeasured")
    found = compare(trained_run, tmp_path / "unmeasured")
    assert found.verdict is None
    assert found.sentence == f"{tmp_path / 'unmeasured'} has no evaluation: add [evaluate] to its recipe and run it."


def test_a_folder_that_is_no_run(trained_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        compare(trained_run, tmp_path)


def test_as_json(kept_run: Path, trained_run: Path) -> None:
    told = json.loads(json.dumps(compare(kept_run, trained_run).as_json()))
    assert told["verdict"]["verdict"] == "better"
    assert {"key": "train.epochs", "first": 1, "second": 4} in told["recipe"]
