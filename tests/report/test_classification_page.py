"""The part of the page that tells how often groups are found by their neighbours, on pictures that are read in for real."""

import json

import numpy as np
import pytest
from PIL import Image

from likewise.data.corpus import Corpus
from likewise.data.fingerprints import fingerprint
from likewise.data.ingest import ingest
from likewise.data.options import FingerprintOptions, ImageFolderOptions
from likewise.report.options import ReportOptions
from likewise.report.page import report
from likewise.testing.artifacts import draft, publish
from report.pages import RECIPE, Elements, page_of
from small_images import picture


def pictures_run(folder, groups=3, each=6, noise=0.5, looks=True, names="group {}"):
    """Ingest and fingerprint as they are; vectors around one centre for each group."""
    random = np.random.default_rng(0)
    for group in range(groups):
        home = folder / "pictures" / names.format(group)
        home.mkdir(parents=True)
        for number in range(each):
            Image.fromarray(picture(100 * group + number, 24, 32)).save(home / f"{number}.png")
    read = draft(folder, "ingest")
    ingest(read, ImageFolderOptions(path=str(folder / "pictures"), group_from_folder=True))
    finished = {"ingest": publish(read)}
    corpus = Corpus(finished["ingest"])
    if looks:
        found = draft(folder, "fingerprint")
        fingerprint(found, FingerprintOptions(image_bits=0), corpus)
        finished["fingerprint"] = publish(found)
    codes = np.array([int(name.split("/")[0].split()[-1]) for name in corpus.ids])
    vectors = random.normal(size=(groups, 8))[codes] + noise * random.normal(size=(len(corpus), 8))
    written = draft(folder, "embed")
    written.write_array("vectors.npy", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    written.write_json("space.json", {"space": "s", "dimension": 8, "distance": "cosine", "keys": {}, "precision": "float32"})
    return {**finished, "embed": publish(written)}


def reported(folder, finished):
    out = draft(folder, "report")
    report(out, ReportOptions(), recipe=RECIPE, finished=finished, stages=[])
    return publish(out)


def test_accuracy_matrix_and_mistakes(tmp_path):
    kept = reported(tmp_path, pictures_run(tmp_path, noise=1.5))
    told = kept.json("classification.json")
    assert 0.3 < told["accuracy"]["accuracy"] < 1
    page = kept.file("report.html").read_text(encoding="utf-8")
    found = Elements(page)
    assert "classification" in found.ids
    assert ("href", "#classification") in found.attributes
    assert told["sentences"][0] in found.words
    assert f"{100 * told['accuracy']['accuracy']:.1f}%" in found.words.split("Classification")[0]  # at the top
    assert 'aria-label="Which labels are taken for which, in counts"' in page
    confused = told["accuracy"]["confusions"][0]
    assert f"{confused['label']}, taken for {confused['taken_for']}" in found.words
    assert "Surest mistakes" in found.words
    assert "Most often confused" in found.words


def test_nothing_is_wrong(tmp_path):
    words = Elements(page_of(tmp_path, pictures_run(tmp_path, noise=0.01))).words
    assert "100.0% of 18 items" in words
    assert "Surest mistakes" not in words
    assert "Most often confused" not in words
    assert "Least often found" in words


def test_many_groups_are_listed_and_not_drawn(tmp_path):
    page = page_of(tmp_path, pictures_run(tmp_path, groups=31, each=2, noise=1.0))
    assert "Which labels are taken for which" not in page
    assert "Most often confused" in Elements(page).words


def test_without_fingerprints_it_says_so(tmp_path):
    words = Elements(page_of(tmp_path, pictures_run(tmp_path, looks=False))).words
    assert "Near-duplicates were not looked for" in words


def test_near_duplicates_do_not_vote(tmp_path):
    run = pictures_run(tmp_path, groups=2, each=4)
    for number in range(4):  # every picture twice
        for group in range(2):
            source = tmp_path / "pictures" / f"group {group}" / f"{number}.png"
            (source.parent / f"copy {number}.png").write_bytes(source.read_bytes())
    again = pictures_run_of_what_is_there(tmp_path)
    told = reported(tmp_path, again).json("classification.json")
    assert told["accuracy"]["units"] == 8
    assert told["accuracy"]["items"] == 16
    assert told["accuracy"]["with_near_duplicates"] > told["accuracy"]["accuracy"]
    assert "Near-duplicates do not vote for each other" in told["sentences"][1]
    assert run["ingest"].json("counts.json")["items"] == 8


def pictures_run_of_what_is_there(folder):
    """Vectors that tell nothing of the group, but are those of the copy."""
    read = draft(folder, "ingest")
    ingest(read, ImageFolderOptions(path=str(folder / "pictures"), group_from_folder=True))
    items = publish(read)
    corpus = Corpus(items)
    looks = draft(folder, "fingerprint")
    fingerprint(looks, FingerprintOptions(), corpus)
    found = publish(looks)
    classes = np.array(found.array("classes.npy"))
    vectors = np.random.default_rng(1).normal(size=(len(corpus), 8))[classes]
    written = draft(folder, "embed")
    written.write_array("vectors.npy", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    written.write_json("space.json", {"space": "s", "dimension": 8, "distance": "cosine", "keys": {}, "precision": "float32"})
    return {"ingest": items, "fingerprint": found, "embed": publish(written)}


@pytest.mark.parametrize("gone", ["embed", "ingest"])
def test_a_run_that_stopped_before_it_had_vectors(tmp_path, gone):
    run = pictures_run(tmp_path)
    del run[gone]
    assert "classification" not in Elements(page_of(tmp_path, run)).ids


def test_pictures_without_groups(tmp_path, finished):
    run = pictures_run(tmp_path, groups=1)
    assert "classification" not in Elements(page_of(tmp_path, run)).ids
    assert "classification" not in Elements(page_of(tmp_path, finished)).ids


def test_the_test_split_alone_is_counted(tmp_path):
    run = pictures_run(tmp_path)
    split = draft(tmp_path, "split")
    split.write_array("items.npy", np.array([0, 0, 2] * 6, np.int8))
    split.write_json("leakage.json", {})
    told = reported(tmp_path, {**run, "split": publish(split)}).json("classification.json")
    assert (told["held_out"], told["accuracy"]["items"]) == (True, 6)


def test_a_model_that_was_trained_on_what_is_counted(tmp_path):
    run = pictures_run(tmp_path)
    training = draft(tmp_path, "train")
    training.write_json("chosen.json", {"chosen": "trained", "step": 1, "metric": "ndcg@10", "start": 0.1, "best": 0.2})
    training.write_text("metrics.csv", "step,loss\n")
    told = reported(tmp_path, {**run, "train": publish(training), "embed-after": run["embed"]}).json("classification.json")
    assert told["trained"]
    assert "The model was trained on items of this run" in json.dumps(told["sentences"])


def test_hostile_names_of_groups(tmp_path):
    run = pictures_run(tmp_path, names="<script>alert(1)<\u2215script>$x$ {}", noise=2.0)
    page = page_of(tmp_path, run)
    found = Elements(page)
    assert "script" not in found.tags
    assert "<script>alert(1)" in found.words
