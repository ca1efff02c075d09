import re

import pyarrow as pa
import pytest

from likewise.report.options import ReportOptions
from likewise.testing.artifacts import draft, publish
from report.pages import RECIPE, Elements, page_of


def test_a_whole_run(tmp_path, finished):
    page = page_of(tmp_path, finished)
    found = Elements(page)
    sections = {"measures", "training", "queries", "suspicious", "data", "stages", "recipe"}
    assert sections <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    verdict = finished["evaluate"].json("verdict.json")
    assert verdict["sentence"].removeprefix("better: ") in found.words
    assert "Better than its start" in found.words
    for sentence in verdict["sentences"][1:]:
        assert sentence[1:] in found.words
    assert "2 min 30 s" in found.words
    assert "900 MB" in found.words
    assert 'path "data.csv"' in found.words
    assert 'loss { kind = "infonce" }' in found.words
    assert "marks" not in found.words.split("Recipe")[-1]  # keys without a value are left out
    assert page.count('class="figure"') == 6  # the verdict, recall, similarities, loss, validation, gains


def test_nothing_comes_from_outside_and_nothing_runs(tmp_path, finished, hostile):
    page = page_of(
        tmp_path, finished, recipe={**RECIPE, "name": hostile, hostile: {hostile: hostile}}, options=ReportOptions(title=hostile)
    )
    found = Elements(page)
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(found.tags)
    assert found.words.count('<script>alert("1")</script>') > 10
    assert "{{ 7*7 }}" in found.words
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    links = [value for name, value in found.attributes if name in ("href", "src", "xlink:href", "action")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert {link[1:] for link in links} <= set(found.ids)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }  # names
    assert "url(" not in page.replace("url(#", "")
    assert "default-src 'none'" in page


def test_equal_runs_give_equal_pages(tmp_path, finished):
    assert page_of(tmp_path, finished) == page_of(tmp_path, finished)


def test_the_page_has_a_dark_side_and_a_printed_one(tmp_path, finished):
    page = page_of(tmp_path, finished)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    defined = set(re.findall(r"(--[a-z0-9-]+):", page))
    assert set(re.findall(r"var\((--[a-z0-9-]+)", page)) <= defined


@pytest.mark.parametrize("missing", ["ingest", "fingerprint", "split", "mine", "train", "evaluate"])
def test_a_stage_that_did_not_run_is_left_out(tmp_path, finished, missing):
    found = Elements(page_of(tmp_path, {stage: artifact for stage, artifact in finished.items() if stage != missing}))
    gone = {"train": {"training"}, "mine": {"suspicious"}, "evaluate": {"measures", "queries"}, "ingest": {"queries"}}
    for section in ("measures", "training", "queries", "suspicious", "data"):
        assert (section in found.ids) == (section not in gone.get(missing, ()))


def test_an_empty_run(tmp_path):
    found = Elements(page_of(tmp_path, {}, recipe={}, stages=[]))
    assert "no verdict" in found.words
    assert not found.ids


def test_the_start_was_kept(tmp_path, make_run):
    found = Elements(page_of(tmp_path, make_run("start")))
    assert "no trained checkpoint was better on validation" in found.words
    assert "No difference shown" in found.words
    assert "the start was kept" in found.words
    assert "queries" not in found.ids  # nothing changed
    assert "than its start" not in found.words


def test_options_have_an_effect(tmp_path, finished):
    assert Elements(page_of(tmp_path, finished)).words.startswith("small · Likewise report")
    titled = page_of(tmp_path, finished, options=ReportOptions(title="A title", examples=1))
    assert Elements(titled).words.startswith("A title · Likewise report")
    assert titled.count("<article") <= 2
    assert "<article" not in page_of(tmp_path, finished, options=ReportOptions(examples=0))


def test_rejected_rows_are_shown(tmp_path, finished, hostile):
    out = draft(tmp_path, "ingest")
    rows = [{"file": "a.csv", "row": row, "reason": hostile, "remedy": "mend it"} for row in range(25)]
    out.write_table("rejects.parquet", pa.Table.from_pylist(rows))
    out.write_json("counts.json", {"rows": 100, "rejected": 25, "splits": {"train": 75}, "shards": [{"name": "s", "items": 75}]})
    found = Elements(page_of(tmp_path, {"ingest": publish(out)}))
    assert "rejected" in found.words
    assert found.words.count("mend it") == 10
    assert "15 more." in found.words
    assert "shards" not in found.words


def test_training_that_logged_nothing(tmp_path, finished):
    out = draft(tmp_path, "train")
    out.write_json("chosen.json", {"chosen": "start", "step": 0, "metric": "ndcg@10", "start": {"ndcg@10": 0.5}, "best": None})
    out.write_text("metrics.csv", "step,loss\n")
    page = page_of(tmp_path, {**finished, "train": publish(out)})
    assert "training" in Elements(page).ids
    assert page.count('class="figure"') == 4
