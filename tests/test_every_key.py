"""Every key of every section has an effect, and a test here shows it: a key without one fails the first test below.

Most keys change the data that a stage leaves; `CHANGES` says which stage, and the value that shows it. The others have a test
of their own, marked with `@shows`.
"""

import csv
import json
import random
import shutil
import sys
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.run import current
from likewise.config import Recipe, validated
from likewise.data.corpus import Corpus
from likewise.data.events.generate import generate
from likewise.data.events.parquet import write_event
from likewise.data.payloads import IMAGES
from likewise.errors import LikewiseError
from likewise.pipeline import run
from likewise.reference import Section, keys, sections
from small_events import GENERATOR
from small_images import picture, save_model, thermal, write_archive, write_openvino

SHOWN: set[str] = set()
THINGS = ("planet", "river", "engine", "violin", "harbour", "orchard", "glacier", "lantern", "bridge", "falcon")
QUALITIES = ("rings", "depth", "noise", "strings", "ships", "apples", "ice", "light", "age", "colour")


def shows(*names: str) -> Callable[[Any], Any]:
    """Mark a test that shows the effect of these keys."""
    SHOWN.update(names)
    return lambda function: function


def name_of(section: Section, key: str) -> str:
    kind = f"({section.kind})" if section.kind else ""
    return f"{section.name}{kind}.{key}" if section.name else key


@dataclass(frozen=True)
class Changes:
    """With `value` for the key, `stage` leaves other data than without, both in the recipe `base` with `given`."""

    stage: str
    value: Any
    base: str = "plain"
    given: dict[str, Any] = field(default_factory=dict)


PAIRS = "ingest(pairs)"
INFO = "train.loss(infonce)"
TEXT = "encoder(text)"
LIMITED = {"window": "limits", "limits": [10_000, 20_000]}
CHANGES: dict[str, Changes] = {
    "seed": Changes("train", 1),
    f"{PAIRS}.path": Changes("ingest", "FOLDER/others.tsv"),
    f"{PAIRS}.anchor": Changes("ingest", "title"),
    f"{PAIRS}.positive": Changes("ingest", "other"),
    f"{PAIRS}.negatives": Changes("ingest", ["wrong"]),
    f"{PAIRS}.label": Changes("ingest", "score"),
    f"{PAIRS}.label_threshold": Changes("ingest", 0.95, given={"ingest.label": "score"}),
    f"{PAIRS}.split": Changes("ingest", "part"),
    f"{PAIRS}.sample_size": Changes("ingest", 100),
    "ingest(beir).path": Changes("ingest", "FOLDER/beir2", base="beir"),
    "ingest(beir).sample_size": Changes("ingest", 20, base="beir"),
    "ingest(hub).name": Changes("ingest", "FOLDER/hub2", base="hub"),
    "ingest(hub).anchor": Changes("ingest", "title", base="hub"),
    "ingest(hub).positive": Changes("ingest", "other", base="hub"),
    "ingest(hub).negatives": Changes("ingest", ["wrong"], base="hub"),
    "ingest(hub).label": Changes("ingest", "score", base="hub"),
    "ingest(hub).label_threshold": Changes("ingest", 0.95, base="hub", given={"ingest.label": "score"}),
    "ingest(hub).sample_size": Changes("ingest", 100, base="hub"),
    "ingest(python_docs).standard_library": Changes("ingest", True, base="docs"),
    "ingest(python_docs).distributions": Changes("ingest", ["typer"], base="docs"),
    "ingest(python_docs).per_module": Changes("ingest", 20, base="docs"),
    "ingest(python_docs).sample_size": Changes("ingest", 20, base="docs"),
    "fingerprint.threshold": Changes("fingerprint", 0.3),
    "fingerprint.exact_only": Changes("fingerprint", True, given={"fingerprint.threshold": 0.3}),
    "split.validation": Changes("split", 0.3),
    "split.test": Changes("split", 0.4),
    "split.exact": Changes("split", True),
    f"{TEXT}.model": Changes("fit", "FOLDER/model2", base="text"),
    f"{TEXT}.query_prompt": Changes("embed", "query: ", base="text"),
    f"{TEXT}.document_prompt": Changes("embed", "passage: ", base="text"),
    f"{TEXT}.max_length": Changes("embed", 4, base="text"),
    f"{TEXT}.frozen_layers": Changes("train", 1, base="text"),
    "encoder(static).dimension": Changes("fit", 16),
    "encoder(static).vocabulary": Changes("fit", 310),
    "encoder(static).seed": Changes("fit", 1),
    "embed.precision": Changes("embed", "bfloat16", base="text"),
    "embed.backend": Changes("embed", "openvino", base="text"),
    "mine(hard).preset": Changes("mine", "balanced", base="mined"),
    "mine(hard).model": Changes("mine", "FOLDER/model", base="mined"),
    "mine(hard).query_prompt": Changes("mine", "query: ", base="mined", given={"mine.model": "FOLDER/model"}),
    "mine(hard).document_prompt": Changes("mine", "passage: ", base="mined", given={"mine.model": "FOLDER/model"}),
    "mine(hard).num_negatives": Changes("mine", 4, base="mined"),
    "mine(hard).range_min": Changes("mine", 5, base="mined"),
    "mine(hard).range_max": Changes("mine", 3, base="mined"),
    "mine(hard).absolute_margin": Changes("mine", 0.3, base="mined"),
    "mine(hard).relative_margin": Changes("mine", 0.5, base="mined"),
    "mine(hard).min_score": Changes("mine", 0.6, base="mined"),
    "mine(hard).max_score": Changes("mine", 0.3, base="mined"),
    "mine(hard).sampling_strategy": Changes("mine", "random", base="mined"),
    "mine(hard).refresh_every": Changes("train", 1, base="mined"),
    "mine(hard).suspicious": Changes("mine", 1, base="mined"),
    "mine.cross_encoder.model": Changes(
        "mine", "FOLDER/cross2", base="mined", given={"mine.cross_encoder": {"model": "FOLDER/cross"}}
    ),
    "train.epochs": Changes("train", 1),
    "train.max_steps": Changes("train", 3),
    "train.batch_size": Changes("train", 8),
    "train.max_length": Changes("train", 3, base="text"),
    "train.learning_rate": Changes("train", 0.001),
    "train.weight_decay": Changes("train", 0.5),
    "train.amsgrad": Changes("train", True),
    "train.schedule": Changes("train", "cosine"),
    "train.warmup_ratio": Changes("train", 0.5),
    "train.warmup_steps": Changes("train", 7),
    "train.accumulate": Changes("train", 2),
    "train.clip_norm": Changes("train", 0.001),
    "train.precision": Changes("train", "bfloat16", base="text", given={"train.precision": "float32"}),
    "train.matryoshka": Changes("train", [8]),
    "train.negatives_per_pair": Changes("train", 1, base="mined"),
    "train.hard_positives": Changes("train", False),
    "train.eval_steps": Changes("train", 3),
    "train.logging_steps": Changes("train", 1),
    "train.early_stopping": Changes("train", 1, given={"train.learning_rate": 1e-12, "train.epochs": 3}),
    "train.metric": Changes("train", "recall@1"),
    "train.guard": Changes("train", "mrr@10"),
    f"{INFO}.scale": Changes("train", 5.0, given={"train.loss": {"kind": "infonce"}}),
    f"{INFO}.symmetric": Changes("train", True, given={"train.loss": {"kind": "infonce"}}),
    "train.loss(triplet).margin": Changes("train", 0.01, given={"train.loss": {"kind": "triplet"}}),
    "train.loss(triplet).distance": Changes("train", "euclidean", given={"train.loss": {"kind": "triplet"}}),
    "train.loss(triplet).hardest": Changes("train", True, given={"train.loss": {"kind": "triplet"}}),
    "train.loss(triplet).negatives": Changes("train", "listed", base="mined", given={"train.loss": {"kind": "triplet"}}),
    "train.loss(cosine).margin": Changes("train", -0.5, base="mined", given={"train.loss": {"kind": "cosine"}}),
    "evaluate(retrieval).metric": Changes("evaluate", "mrr@10"),
    "evaluate(retrieval).others": Changes("evaluate", ["recall@5"]),
    "evaluate(retrieval).baselines": Changes("evaluate", ["bm25"]),
    "evaluate(retrieval).resamples": Changes("evaluate", 150, base="text", given={"evaluate.baselines": ["bm25"]}),
    "evaluate(retrieval).smallest_units": Changes("evaluate", 10_000),
    "result(index).type": Changes("index", "ivf"),
    "result(index).recall_target": Changes("index", 0.2, given={"result.type": "ivf", "result.recall_target": 1.0}),
    "result(index).held_out": Changes("index", 5, given={"result.type": "ivf"}),
    "ingest(events).path": Changes("ingest", "FOLDER/events2", base="events"),
    "ingest(events).prefix": Changes("ingest", "event000000001", base="events"),
    "ingest(events).sample_size": Changes("ingest", 1, base="events"),
    "ingest(events).edges": Changes("ingest", "all_pairs", base="events"),
    "ingest(events).step": Changes("ingest", "layer", base="events"),
    "ingest(events).cells": Changes("ingest", True, base="events"),
    "ingest(events).weight_column": Changes("ingest", "cell_u", base="events"),
    "ingest(events).weight_by": Changes("ingest", "pt", base="events"),
    "ingest(events).largest_weight": Changes("ingest", 1.5, base="events", given={"ingest.weight_by": "pt"}),
    "ingest(events).momentum_unit": Changes("ingest", "GeV", base="pyg", given={"ingest.step": "path"}),
    "ingest(generated_events).events": Changes("ingest", 7, base="tracks"),
    "ingest(generated_events).edges": Changes("ingest", "all_pairs", base="tracks"),
    "ingest(generated_events).weight_by": Changes("ingest", "pt", base="tracks"),
    "ingest(generated_events).largest_weight": Changes("ingest", 1.5, base="tracks", given={"ingest.weight_by": "pt"}),
    "ingest.cuts.pt_signal_min": Changes("ingest", 0.8, base="tracks"),
    "ingest.cuts.min_hits": Changes("ingest", 9, base="tracks"),
    "ingest.cuts.primaries_only": Changes("ingest", True, base="tracks"),
    "ingest.cuts.keep_noise": Changes("ingest", False, base="tracks"),
    "ingest.cuts.pt_background_min": Changes("ingest", 0.3, base="tracks"),
    "ingest.cuts.background_min_hits": Changes("ingest", 5, base="tracks"),
    **{
        f"ingest.generator.{key}": Changes("ingest", value, base="tracks")
        for key, value in {
            "particles": 50,
            "wedge": 0.3,
            "vertices": 5,
            "beam_spot_width": 0.2,
            "beam_spot_length": 10.0,
            "pt_min": 0.4,
            "pt_max": 2.0,
            "pt_power": 1.5,
            "eta_max": 2.0,
            "secondaries": 0.5,
            "noise": 0.3,
            "efficiency": 0.7,
            "field": 1.0,
            "scattering": False,
            "smearing": False,
        }.items()
    },
    "encoder(hits).widths": Changes("fit", [12], base="tracks"),
    "encoder(hits).dimension": Changes("fit", 3, base="tracks"),
    "encoder(hits).unit_length": Changes("train", True, base="tracks"),
    "encoder(hits).seed": Changes("fit", 1, base="tracks"),
    "mine(step).regimes": Changes("train", ["rp"], base="tracks"),
    "mine(step).queries": Changes("train", "all", base="tracks"),
    "mine(step).points_per_batch": Changes("train", 20, base="tracks"),
    "mine(step).search": Changes("train", "nearest", base="tracks"),
    "mine(step).radius": Changes("train", 0.3, base="tracks"),
    "mine(step).max_neighbors": Changes("train", 3, base="tracks"),
    "mine(step).random_pairs": Changes("train", 1, base="tracks"),
    "train.loss(hinge).margin": Changes("train", 0.4, base="tracks"),
    "train.loss(hinge).positive_weight": Changes("train", 0.4, base="tracks"),
    "train.loss(logistic).margin": Changes("train", 0.4, base="tracks", given={"train.loss": {"kind": "logistic"}}),
    "train.loss(logistic).scale": Changes("train", 3.0, base="tracks", given={"train.loss": {"kind": "logistic"}}),
    "train.loss(logistic).positive_weight": Changes("train", 0.4, base="tracks", given={"train.loss": {"kind": "logistic"}}),
    "evaluate(graph).efficiency": Changes("evaluate", 0.8, base="tracks"),
    "evaluate(graph).radius": Changes("evaluate", 0.2, base="tracks"),
    "evaluate(graph).resamples": Changes("evaluate", 150, base="tracks", given={"ingest.events": 14}),
    "evaluate(graph).smallest_units": Changes("evaluate", 40, base="tracks"),
    "ingest(image_folder).path": Changes("ingest", "FOLDER/images2", base="images"),
    "ingest(image_folder).group_from_folder": Changes("ingest", True, base="images"),
    "ingest(image_folder).sample_size": Changes("ingest", 3, base="images"),
    "ingest(image_folder).frame": Changes("ingest", 1, base="pages"),
    "ingest(image_table).path": Changes("ingest", "FOLDER/few.csv", base="image_table"),
    "ingest(image_table).images": Changes("ingest", "FOLDER/images2", base="image_table"),
    "ingest(image_table).id": Changes("ingest", "other", base="image_table"),
    "ingest(image_table).file": Changes("ingest", "second", base="image_table"),
    "ingest(image_table).group": Changes("ingest", "house", base="image_table"),
    "ingest(image_table).sample_size": Changes("ingest", 3, base="image_table"),
    "ingest(image_table).frame": Changes("ingest", 1, base="image_table", given={"ingest.file": "paged"}),
    "ingest(image_archives).path": Changes("ingest", "FOLDER/archives/b.tar.gz", base="image_archives"),
    "ingest(image_archives).annotations": Changes(
        "ingest", "street_view", base="image_archives", given={"ingest.path": "FOLDER/archives/views.tar"}
    ),
    "ingest(image_archives).group_from_folder": Changes("ingest", True, base="image_archives"),
    "ingest(image_archives).frame": Changes(
        "ingest", 1, base="image_archives", given={"ingest.path": "FOLDER/archives/pages.tar"}
    ),
    "ingest(image_items).path": Changes("ingest", "FOLDER/items/others.parquet", base="image_items"),
    "ingest(image_items).frame": Changes("ingest", 1, base="image_items", given={"ingest.path": "FOLDER/items/pages.parquet"}),
    "ingest(digits).sample_size": Changes("ingest", 80, base="digits"),
    "split.unit": Changes("split", "item", base="digits"),
    "encoder(convolutional).size": Changes("embed", 16, base="digits"),
    "encoder(convolutional).widths": Changes("fit", [8, 16], base="digits"),
    "encoder(convolutional).dimension": Changes("fit", 12, base="digits"),
    "encoder(convolutional).seed": Changes("fit", 1, base="digits"),
    "fingerprint.image_bits": Changes("fingerprint", 16, base="images"),
    "fingerprint.image_hash": Changes("fingerprint", "dhash", base="images"),
    "encoder(image).model": Changes("embed", "FOLDER/vision/vit", base="images"),
    "encoder(image).pooling": Changes("embed", "mean", base="images"),
    "encoder.pixels.window": Changes("embed", "data", base="frames"),
    "encoder.pixels.percentiles": Changes("embed", [10, 90], base="frames", given={"encoder.pixels": {"window": "frame"}}),
    "encoder.pixels.limits": Changes("embed", [0, 20_000], base="frames", given={"encoder.pixels": LIMITED}),
    "encoder.pixels.gamma": Changes("embed", 2.0, base="frames"),
    "encoder.pixels.clahe": Changes("embed", 2.0, base="frames"),
    "encoder.pixels.frame": Changes("embed", 1, base="pages"),
    "encoder(openvino).model": Changes("embed", "FOLDER/openvino2/model.xml", base="openvino"),
    "encoder(openvino).output": Changes("embed", "mean", base="openvino"),
    "encoder(openvino).resize": Changes("embed", "stretch", base="openvino"),
    "encoder(openvino).resample": Changes("embed", "nearest", base="openvino"),
    "encoder(openvino).scale": Changes("embed", 0.01, base="openvino"),
    "encoder(openvino).mean": Changes("embed", [0, 0, 0], base="openvino"),
    "encoder(openvino).std": Changes("embed", [1, 1, 1], base="openvino"),
    "encoder(openvino).precision": Changes("embed", "bfloat16", base="openvino"),
    "report.quality_threshold": Changes("report", 1.0, base="images", given={"report.reference": "FOLDER/reference.npy"}),
    "report.reference": Changes("report", "FOLDER/reference.npy", base="images"),
    "result(graph).radius": Changes("graph", 0.2, base="tracks"),
    "result(graph).max_neighbors": Changes("graph", 3, base="tracks"),
    "result(graph).flip": Changes("graph", True, base="tracks"),
    "result(graph).tables": Changes("graph", True, base="tracks"),
}


def test_every_key_is_shown_to_have_an_effect() -> None:
    top = [name_of(Section("", None, Recipe), key) for key, *_ in keys(Section("", None, Recipe))]
    below = [name_of(section, key) for section in sections() for key, *_ in keys(section) if key != "kind"]
    assert sorted(set(top + below) - set(CHANGES) - SHOWN) == []
    assert sorted((set(CHANGES) | SHOWN) - set(top + below)) == [], "these keys are no more"


# The data


def texts() -> list[dict[str, str]]:
    """Rows in which every column matters: shared documents, near-duplicates, scores, splits, wrong answers."""
    draw = random.Random(0)
    rows = []
    for number in range(240):
        about = " ".join(draw.sample(QUALITIES, 5))
        asked, document = number, number
        if number < 90:  # blocks of three queries with two documents each, of which the next query has one, too
            asked = number // 2
            document = number // 6 * 4 + number % 6 // 2 + number % 2
        thing, quality = THINGS[asked % 10], QUALITIES[(asked * 7) % 10]
        rows.append(
            {
                "anchor": f"which {thing} has {quality} in case {asked}",
                "title": f"case {number} of the {thing}",
                "positive": f"the {THINGS[document % 10]} of case {document} is known for {QUALITIES[document * 7 % 10]} "
                + ("" if number < 90 else about),
                "other": f"an older description of {thing} {number}",
                "negative": "",
                "wrong": f"the {thing} of another case than {number}",
                "score": f"{draw.random():.3f}",
                "part": ("train", "train", "train", "test", "validation")[number % 5],
            }
        )
    for number in range(20):  # nearly equal texts
        rows[200 + number]["positive"] = " ".join(f"{rows[180 + number]['positive']} once more".split())
    return rows


def write_tsv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_beir(folder: Path, count: int) -> None:
    (folder / "qrels").mkdir(parents=True)
    rows = texts()[:count]
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            file.write(json.dumps({"_id": f"d{number}", "title": row["title"], "text": row["positive"]}) + "\n")
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            file.write(json.dumps({"_id": f"q{number}", "text": row["anchor"]}) + "\n")
    for split, take in (("train", range(0, count, 2)), ("test", range(1, count, 2))):
        lines = ["query-id\tcorpus-id\tscore", *(f"q{number}\td{number}\t1" for number in take)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_events(place: Path) -> None:
    """Events with cells, of which particles leave several hits on a layer; and one that torch_geometric wrote."""
    for name, count in (("events", 2), ("events2", 1)):
        (place / name).mkdir()
        for number in range(count):
            event = generate(GENERATOR, number, 0)
            cells = np.stack([event.x % 1, event.y % 1], axis=1)
            changed = replace(event, layer=event.layer // 4, cells=cells, cell_names=("cell_u", "cell_v"))
            write_event(changed, place / name / f"{event.name}.parquet")
    (place / "pyg").mkdir()
    shutil.copy(Path(__file__).parent / "data" / "events" / "files" / "event000000007.pyg", place / "pyg")


def write_images(place: Path) -> None:
    """Pictures, others under the same names, frames of 16 bits, pictures of two pages, tables that name them, and models."""
    for name, first in (("images", 0), ("images2", 50)):
        for number in range(6):
            (place / name / f"house{number // 3}").mkdir(parents=True, exist_ok=True)
            shifted = Image.fromarray(picture(first + number // 2)).crop((4 * (number % 2), 0, 116, 90))
            shifted.save(place / name / f"house{number // 3}" / f"{number}.png")
        for number in range(2):
            pages = [Image.fromarray(thermal(first + 2 * number + page)) for page in range(2)]
            pages[0].save(place / name / f"paged{number}.tiff", save_all=True, append_images=pages[1:])
    for name in ("frames", "pages"):
        (place / name).mkdir()
    for number in range(3):
        Image.fromarray(thermal(number)).save(place / "frames" / f"{number}.png")
        pages = [Image.fromarray(thermal(10 * number + page)) for page in range(2)]
        pages[0].save(place / "pages" / f"{number}.tiff", save_all=True, append_images=pages[1:])
    lines = ["id,other,path,second,paged,house"]
    for number in range(6):
        other = 5 - number
        paths = f"house{number // 3}/{number}.png,house{other // 3}/{other}.png,paged{number % 2}.tiff"
        lines.append(f"a{number},b{number},{paths},house{number // 3}")
    (place / "images.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (place / "few.csv").write_text("\n".join(lines[:4]) + "\n", encoding="utf-8")
    (place / "archives").mkdir()
    write_archive(place / "archives" / "a.tar", {f"x/{number}": picture(number) for number in range(3)})
    view = "d 1 2 3 7 40.7 -74 12 1 0 0 40.8 -74.1 3 50 180 -5 0.5\n"
    write_archive(place / "archives" / "views.tar", {"v/0": picture(5)}, {"v/0": view})
    write_archive(place / "archives" / "b.tar.gz", {f"y/{number}": picture(10 + number) for number in range(2)})
    with tarfile.open(place / "archives" / "pages.tar", "w") as archive:
        archive.add(place / "pages" / "0.tiff", "0.tiff")
    (place / "items").mkdir()
    some = sorted((place / "images").rglob("*.png"))
    for name, files in (("some", some), ("others", some[:4]), ("pages", [place / "pages" / "0.tiff"])):
        images = [{"path": None, "bytes": file.read_bytes(), "digest": bytes(32), "look": None} for file in files]
        table = pa.table({"id": [file.name for file in files], "image": pa.array(images, IMAGES)})
        pq.write_table(table, place / "items" / f"{name}.parquet")
    for kind in ("dinov2", "vit"):
        save_model(place / "vision", kind)
    np.save(place / "reference.npy", -np.ones((20, 32), np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from likewise.testing.cross import tiny_cross_encoder
    from likewise.testing.encoders import tiny_text_model

    place = tmp_path_factory.mktemp("keys")
    rows = texts()
    write_tsv(place / "pairs.tsv", rows)
    write_tsv(place / "others.tsv", rows[:150])
    write_beir(place / "beir", 120)
    write_beir(place / "beir2", 100)
    for name, count in (("hub", 240), ("hub2", 150)):
        (place / name).mkdir()
        lines = [
            json.dumps({key: float(value) if key == "score" else value for key, value in row.items()}) for row in rows[:count]
        ]
        (place / name / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sentences = [row[key] for row in rows for key in ("anchor", "positive")]
    tiny_text_model(place / "model", texts=sentences)
    tiny_text_model(place / "model2", seed=1, texts=sentences)
    write_events(place)
    write_images(place)
    for name, seed in (("cross", 0), ("cross2", 1)):
        tiny_cross_encoder(place / name, sentences, seed=seed)
    return place


def base(name: str, folder: Path) -> dict[str, Any]:
    """The recipe that a change is made to."""
    raw: dict[str, Any] = {
        "name": "keys",
        "ingest": {"kind": "pairs", "path": f"{folder}/pairs.tsv", "negatives": ["negative"]},
        "fingerprint": {},
        "split": {"validation": 0.15, "test": 0.2},
        "encoder": {"kind": "static", "dimension": 32, "vocabulary": 400},
        "embed": {"precision": "float32"},
        "train": {"epochs": 2, "batch_size": 16, "learning_rate": 0.02, "precision": "float32", "logging_steps": 2},
        "evaluate": {"baselines": [], "resamples": 200},
        "result": {"kind": "index"},
        "report": {},
    }
    if name == "beir":
        raw["ingest"] = {"kind": "beir", "path": f"{folder}/beir"}
    if name == "hub":
        raw["ingest"] = {"kind": "hub", "name": f"{folder}/hub"}
    if name == "docs":
        raw["ingest"] = {"kind": "python_docs", "standard_library": False, "distributions": ["pydantic"]}
    if name == "text":
        raw["encoder"] = {"kind": "text", "model": f"{folder}/model"}
        raw["train"] |= {"epochs": 1, "max_steps": 4, "learning_rate": 0.001}
    if name == "mined":
        raw["mine"] = {"num_negatives": 3, "range_max": 20}
    if name in ("images", "image_table", "image_archives", "image_items", "frames", "pages", "openvino"):
        raw = images(name, folder)
    if name == "digits":
        raw["ingest"] = {"kind": "digits", "sample_size": 120}
        raw["split"] |= {"largest_unit": 0.5, "exact": True}
        raw["encoder"] = {"kind": "convolutional", "widths": [8], "dimension": 8}
        raw |= {"train": None, "evaluate": None}
    if name in ("events", "pyg", "tracks"):
        raw |= tracks(name, folder)
        del raw["fingerprint"], raw["embed"]  # no effect on events
    return raw


def tracks(name: str, folder: Path) -> dict[str, Any]:
    """The sections of a recipe on events."""
    generated = {"kind": "generated_events", "events": 6, "generator": GENERATOR.model_dump()}
    ingest = generated if name == "tracks" else {"kind": "events", "path": f"{folder}/{name}"}
    return {
        "ingest": {**ingest, "cuts": {"pt_signal_min": 0.4}},
        "split": {"validation": 0.2, "test": 0.3, "exact": True},
        "encoder": {"kind": "hits", "widths": [16], "dimension": 4},
        "mine": {"kind": "step", "points_per_batch": 100},
        "train": {
            "epochs": 2, "learning_rate": 0.01, "precision": "float32", "metric": "purity@0.9", "guard": "none",
            "loss": {"kind": "hinge"},
        },
        "evaluate": {"kind": "graph", "resamples": 200},
        "result": {"kind": "graph"},
    }  # fmt: skip


def images(name: str, folder: Path) -> dict[str, Any]:
    """The sections of a recipe on pictures."""
    files = {"image_table": "images.csv", "image_archives": "archives/a.tar", "image_items": "items/some.parquet"}
    where = {**files, "openvino": "images"}.get(name, name)
    ingest = {"kind": name if name in files else "image_folder", "path": f"{folder}/{where}"}
    encoder = {"kind": "image", "model": f"{folder}/vision/dinov2"}
    if name == "image_table":
        ingest["images"] = f"{folder}/images"
    if name == "openvino":
        for number in (1, 2):
            (folder / f"openvino{number}").mkdir(exist_ok=True)
            if not (folder / f"openvino{number}" / "model.xml").exists():
                write_openvino(folder / f"openvino{number}", last=number == 2)
        encoder = {"kind": "openvino", "model": f"{folder}/openvino1/model.xml"}
    common = {"fingerprint": {"image_bits": 0}, "embed": {"precision": "float32"}, "report": {}}
    return {"name": "keys", "ingest": ingest, "encoder": encoder, **common}


def with_values(raw: dict[str, Any], values: dict[str, Any], folder: Path) -> Recipe:
    raw = json.loads(json.dumps(raw))
    for place, value in values.items():
        *parents, key = place.split(".")
        inner = raw
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return validated(json.loads(json.dumps(raw).replace("FOLDER", str(folder))), "recipe")


def left_by(stage: str, recipe: Recipe, folder: Path) -> Artifact:
    """What the stage leaves; all recipes share one run folder, so that a stage that is the same is run once."""
    run(recipe, folder / "run", until=stage)
    artifact = current(folder / "run", stage)
    assert artifact is not None
    return artifact


@pytest.mark.parametrize("name", CHANGES)
def test_a_key_changes_what_its_stage_leaves(name: str, folder: Path) -> None:
    change = CHANGES[name]
    place = ".".join(part.split("(")[0] for part in name.split("."))
    raw = base(change.base, folder)
    without = left_by(change.stage, with_values(raw, change.given, folder), folder)
    changed = left_by(change.stage, with_values(raw, {**change.given, place: change.value}, folder), folder)
    assert changed.content != without.content, f"{name} = {change.value!r} changed nothing that {change.stage} leaves"


# Keys whose effect is not in the data


@shows("name")
def test_name_names_the_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(with_values(base("plain", folder), {"name": "another"}, folder), until="ingest")
    assert (tmp_path / "runs" / "another" / "ingest" / "current").is_file()


@shows("ingest(pairs).on_bad", "ingest(beir).on_bad", "ingest(hub).on_bad")
@pytest.mark.parametrize("kind", ["pairs", "beir", "hub"])
def test_on_bad_stops_or_rejects(kind: str, folder: Path, tmp_path: Path) -> None:
    raw = base("plain" if kind == "pairs" else kind, folder)
    if kind == "beir":
        import shutil

        shutil.copytree(folder / "beir", tmp_path / "beir")
        with (tmp_path / "beir" / "corpus.jsonl").open("a", encoding="utf-8") as file:
            file.write("{not json\n")
        raw["ingest"]["path"] = str(tmp_path / "beir")
    else:
        rows = texts()
        rows[7]["positive"] = " "
        (tmp_path / "bad").mkdir()
        lines = [json.dumps(row) for row in rows]
        (tmp_path / "bad" / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        raw["ingest"]["path" if kind == "pairs" else "name"] = str(tmp_path / "bad")
    with pytest.raises(LikewiseError, match="row"):
        left_by("ingest", with_values(raw, {}, folder), tmp_path)
    rejected = left_by("ingest", with_values(raw, {"ingest.on_bad": "reject"}, folder), tmp_path)
    counts = rejected.json("counts.json")
    assert counts["rejected"] == 1
    assert counts["accepted"] + counts["rejected"] == counts["rows"]


@shows("split.largest_unit")
def test_largest_unit_refuses_a_unit_that_is_too_large(folder: Path) -> None:
    with pytest.raises(LikewiseError, match="largest_unit"):
        left_by("split", with_values(base("plain", folder), {"split.largest_unit": 0.001}, folder), folder)


@shows("embed.device", "mine(hard).device", "train.device")
@pytest.mark.parametrize(
    ("section", "stage", "of"), [("embed", "embed", "text"), ("mine", "mine", "mined"), ("train", "train", "plain")]
)
def test_a_device_that_is_not_there_is_refused(
    section: str, stage: str, of: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(LikewiseError, match="cuda"):
        left_by(stage, with_values(base(of, folder), {f"{section}.device": "cuda"}, folder), folder)


@shows("embed.batch_tokens", "embed.batch_items", "embed.part_items")
@pytest.mark.parametrize(("key", "value"), [("batch_tokens", 64), ("batch_items", 3), ("part_items", 10)])
def test_batches_and_parts_are_planned_as_asked(key: str, value: int, folder: Path) -> None:
    from likewise.encoders.options import StaticEncoderOptions
    from likewise.testing.encoders import FakeEncoder
    from likewise.vectors.extract import Extraction
    from likewise.vectors.options import EmbedOptions

    assert StaticEncoderOptions().kind == "static"
    payload = [row["anchor"] for row in texts()]

    def counts(options: EmbedOptions) -> tuple[int, int]:
        fetch: Callable[[Any], list[str]] = lambda positions: [payload[place] for place in positions]  # noqa: E731
        work = Extraction(FakeEncoder(), fetch, np.zeros(len(payload), np.int8), options, say=lambda sentence: None)
        return len(work.batches), len(work.parts)

    given = {"batch_items": 5} if key == "part_items" else {}
    before, after = counts(EmbedOptions(**given)), counts(EmbedOptions(**{**given, key: value}))
    place = 1 if key == "part_items" else 0
    assert after[place] > before[place] + 3


@shows("embed.workers")
@pytest.mark.parametrize("workers", [1, 3])
def test_as_many_threads_as_asked_prepare_batches(workers: int) -> None:
    from likewise.testing.encoders import FakeEncoder
    from likewise.vectors.extract import extract
    from likewise.vectors.options import EmbedOptions

    together = threading.Barrier(3)
    alone: list[bool] = []

    class Waiting(FakeEncoder):
        def prepare(self, *given: Any) -> Any:
            try:
                together.wait(timeout=0.3 if workers < 3 else 30)
            except threading.BrokenBarrierError:
                alone.append(True)
            return super().prepare(*given)

    extract(
        Waiting(), ["a", "b", "c"], options=EmbedOptions(batch_items=1, workers=workers, backend="torch", precision="float32")
    )
    assert bool(alone) == (workers < 3)


@shows("embed.cache_dir", "embed.cache_bytes")
def test_the_cache_stands_where_it_should_and_is_as_large_as_allowed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likewise.vectors import extract
    from likewise.vectors.cache import EmbeddingCache

    budgets = []

    class Watched(EmbeddingCache):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            budgets.append(named["max_bytes"])
            super().__init__(*arguments, **named)

    monkeypatch.setattr(extract, "EmbeddingCache", Watched)
    values = {"embed.cache_dir": str(tmp_path / "cache"), "embed.cache_bytes": 1_234_567}
    left_by("embed", with_values(base("plain", folder), values, folder), folder)
    assert any((tmp_path / "cache").iterdir())
    assert budgets == [1_234_567]


@shows(
    "encoder(openclip).model", "encoder(openclip).pretrained", "encoder(openclip).cache_dir", "encoder(openclip).channels_last"
)
def test_an_image_tower_is_the_one_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for OpenCLIP, which cannot be installed everywhere; tests/encoders/test_openclip.py asks the real one."""
    import torch

    from likewise.encoders.options import OpenCLIPEncoderOptions
    from likewise.options import build

    (tmp_path / "weights.pt").touch()
    asked: list[tuple[str, str]] = []
    looked: list[str] = []
    tower = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    way = {"size": 8, "mode": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "fill_color": 0}
    package = SimpleNamespace(
        get_model_config=lambda name: {"embed_dim": 4, "vision_cfg": {"width": len(name)}},
        list_pretrained_tags_by_model=lambda name: ["tag"],
        get_pretrained_cfg=lambda name, tag: {"hf_hub": "owner/model/"} if tag == "tag" else {},
        create_model=lambda name, weights, **named: asked.append((name, weights)) or SimpleNamespace(visual=tower),
        get_model_preprocess_cfg=lambda model: {**way, "resize_mode": "shortest"},
    )
    monkeypatch.setitem(sys.modules, "open_clip", package)  # type: ignore[misc]  # a module by its attributes
    monkeypatch.setattr("importlib.util.find_spec", lambda name: package)
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda repository, name, cache_dir, **named: looked.append(cache_dir) or f"/hub/{name}"
    )
    for model, pretrained, last in (("one", str(tmp_path / "weights.pt"), True), ("other", "tag", False)):
        encoder = build(OpenCLIPEncoderOptions(model=model, pretrained=pretrained, channels_last=last, cache_dir="elsewhere"))
        pixels = encoder.prepare([picture()])
        assert pixels.shape == (1, 3, 8, 8)
        assert encoder(pixels).shape == (1, 4)
        assert encoder.key_parts("document")["channels_last"] == last
    assert asked == [("one", str(tmp_path / "weights.pt")), ("other", "/hub/open_clip_model.safetensors")]
    assert looked == ["elsewhere"]


@shows("encoder(image).cache_dir", "encoder(image).revision", "encoder(image).channels_last")
def test_a_vision_model_is_had_from_where_it_should_and_laid_out_as_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import AutoModel

    from likewise.encoders.options import ImageEncoderOptions
    from likewise.options import build

    asked: dict[str, Any] = {}
    real = AutoModel.from_pretrained

    def from_pretrained(name: str, **named: Any) -> Any:
        asked.update(named)
        return real(name, dtype=torch.float32, output_loading_info=True)

    monkeypatch.setattr(AutoModel, "from_pretrained", from_pretrained)
    for last in (True, False):
        options = ImageEncoderOptions(model=f"{folder}/vision/vit", cache_dir="elsewhere", revision="v2", channels_last=last)
        encoder = build(options)
        kernels = [weights for weights in encoder.parameters() if weights.ndim == 4]
        assert all(weights.is_contiguous(memory_format=torch.channels_last) == last for weights in kernels)
    assert (asked["cache_dir"], asked["revision"]) == ("elsewhere", "v2")


@shows(
    "ingest(image_folder).on_bad",
    "ingest(image_table).on_bad",
    "ingest(image_archives).on_bad",
    "ingest(image_items).on_bad",
)
@pytest.mark.parametrize("of", ["images", "image_table", "image_archives", "image_items"])
def test_pictures_that_cannot_be_decoded_stop_or_are_rejected(of: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "images", tmp_path / "images")
    (tmp_path / "images" / "house0" / "0.png").write_bytes(b"no picture")
    raw = base(of, folder)
    changed = {"ingest.images" if of == "image_table" else "ingest.path": str(tmp_path / "images")}
    if of == "image_archives":
        changed = {"ingest.path": str(tmp_path / "a.tar")}
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            archive.add(tmp_path / "images", ".")
    if of == "image_items":
        changed = {"ingest.path": str(tmp_path / "0.png.parquet")}
        files = sorted((tmp_path / "images").rglob("*.png"))
        images = [{"path": str(file), "bytes": None, "digest": bytes(32), "look": None} for file in files]
        pq.write_table(pa.table({"id": [file.name for file in files], "image": pa.array(images, IMAGES)}), changed["ingest.path"])
    with pytest.raises(LikewiseError, match=r"0\.png"):
        left_by("ingest", with_values(raw, changed, folder), tmp_path)
    rejected = left_by("ingest", with_values(raw, {**changed, "ingest.on_bad": "reject"}, folder), tmp_path)
    assert rejected.json("counts.json")["rejected"] == 1


@shows("encoder(text).cache_dir", "encoder(text).revision")
def test_downloads_go_where_they_should_and_are_of_the_revision_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sentence_transformers

    from likewise.encoders.options import TextEncoderOptions
    from likewise.options import build

    asked: dict[str, Any] = {}
    real = sentence_transformers.SentenceTransformer.__init__

    def watched(self: Any, *arguments: Any, **named: Any) -> None:
        asked.update(named)
        real(self, *arguments, **named)

    monkeypatch.setattr(sentence_transformers.SentenceTransformer, "__init__", watched)
    build(TextEncoderOptions(model=f"{folder}/model", cache_dir="elsewhere", revision="v2"))
    assert asked["cache_folder"] == "elsewhere"
    assert asked["revision"] == "v2"


@shows("ingest(hub).config", "ingest(hub).cache_dir")
def test_a_data_set_is_asked_for_by_its_configuration_and_kept_where_it_should(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the hub extra is not installed")
    asked: list[Any] = []
    real = datasets.load_dataset

    def watched(*arguments: Any, **named: Any) -> Any:
        asked.append((arguments, named))
        return real(f"{folder}/hub")

    monkeypatch.setattr(datasets, "load_dataset", watched)
    values = {"ingest.config": "pair", "ingest.cache_dir": "elsewhere"}
    left_by("ingest", with_values(base("hub", folder), values, folder), folder)
    said = repr(asked)
    assert "'pair'" in said
    assert "'elsewhere'" in said


@shows("mine(hard).batch_size", "mine.cross_encoder.batch_size")
def test_mining_models_work_in_batches_as_large_as_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sentence_transformers

    from likewise.mining import mine

    asked: list[int] = []
    real = mine.extract

    def watched(encoder: Any, payload: Any, role: Any, options: Any, **named: Any) -> Any:
        asked.append(options.batch_items)
        return real(encoder, payload, role, options, **named)

    monkeypatch.setattr(mine, "extract", watched)
    predicted: list[int] = []
    real_predict = sentence_transformers.CrossEncoder.predict

    def watched_predict(self: Any, pairs: Any, *arguments: Any, **named: Any) -> Any:
        predicted.append(named["batch_size"])
        return real_predict(self, pairs, *arguments, **named)

    monkeypatch.setattr(sentence_transformers.CrossEncoder, "predict", watched_predict)
    values = {
        "mine.model": "FOLDER/model",
        "mine.batch_size": 17,
        "mine.cross_encoder": {"model": "FOLDER/cross", "batch_size": 19},
    }
    left_by("mine", with_values(base("mined", folder), values, folder), folder)
    assert set(asked) == {17}
    assert set(predicted) == {19}


@shows("train.gradient_cache", "train.gradient_checkpointing")
def test_activations_are_computed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.training import base as module

    calls: list[int] = []
    real = module.checkpoint

    def watched(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return real(*arguments, **named)

    monkeypatch.setattr(module, "checkpoint", watched)
    left_by("train", with_values(base("text", folder), {"train.gradient_cache": 4}, folder), folder)
    assert len(calls) > 8, "chunks of four texts"
    with pytest.raises(LikewiseError, match="gradient_checkpointing has no effect"):
        left_by("train", with_values(base("plain", folder), {"train.gradient_checkpointing": True}, folder), folder)
    enabled: list[bool] = []
    monkeypatch.setattr("transformers.PreTrainedModel.activation_checkpointing_enable", lambda *_, **__: enabled.append(True))
    left_by("train", with_values(base("text", folder), {"train.gradient_checkpointing": True}, folder), folder)
    assert enabled == [True]


@shows("train.save_steps")
def test_checkpoints_are_written_as_often_as_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.training.callbacks import Checkpoints

    def saves(values: dict[str, Any]) -> int:
        count: list[int] = []
        real = Checkpoints.save

        def watched(self: Any, trainer: Any, step: int) -> None:
            count.append(step)
            real(self, trainer, step)

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "save", watched)
            left_by("train", with_values(base("plain", folder), {"train.epochs": 4, **values}, folder), folder)
        return len(count)

    assert saves({"train.save_steps": 1}) > saves({})


@shows("train.guard_tolerance")
def test_a_tolerant_guard_lets_more_through(folder: Path) -> None:
    spoilt = {"train.learning_rate": 100.0, "train.schedule": "constant", "train.guard": "recall@10"}
    strict = left_by("train", with_values(base("plain", folder), {**spoilt, "train.guard_tolerance": 0.0}, folder), folder)
    tolerant = left_by("train", with_values(base("plain", folder), {**spoilt, "train.guard_tolerance": 1.0}, folder), folder)
    assert '"allowed": false' in strict.file("history.json").read_text(encoding="utf-8")
    assert '"allowed": false' not in tolerant.file("history.json").read_text(encoding="utf-8")


@shows("train.loggers")
def test_tensorboard_is_written_when_asked(folder: Path) -> None:
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    artifact = left_by("train", with_values(base("plain", folder), {"train.loggers": ["tensorboard"]}, folder), folder)
    assert any("tfevents" in path.name for path in (folder / "run").rglob("*")), artifact.path


@shows("evaluate(retrieval).negligible", "evaluate(graph).negligible")
def test_negligible_decides_whether_there_are_too_few_to_tell() -> None:
    from likewise.evaluation.verdict import Rules, judge

    draw = np.random.default_rng(0)
    before = draw.random(60)
    after = before + draw.normal(0, 0.1, 60)

    def word(negligible: float) -> str:
        return judge(before, after, metric="ndcg@10", rules=Rules(500, 10, negligible)).verdict

    assert word(0.5) == "no difference shown"
    assert word(0.0001) == "too few to tell"


@shows("report.title", "report.examples")
def test_the_page_has_the_title_and_the_examples_asked_for(folder: Path) -> None:
    def page(values: dict[str, Any]) -> str:
        raw = base("plain", folder)
        raw["encoder"]["dimension"] = 4  # so poor a start that some queries gain and some lose
        return left_by("report", with_values(raw, values, folder), folder).file("report.html").read_text(encoding="utf-8")

    assert "Alike things" in page({"report.title": "Alike things"})
    assert len(page({"report.examples": 3})) > len(page({"report.examples": 0}))


@shows("report.figures")
def test_figures_are_kept_beside_the_page(folder: Path) -> None:
    artifact = left_by("report", with_values(base("plain", folder), {"report.figures": ["png"]}, folder), folder)
    assert artifact.file("figures/loss.png").read_bytes().startswith(b"\x89PNG")
    assert not left_by("report", with_values(base("plain", folder), {}, folder), folder).has("figures")


@shows("ingest(python_docs).on_bad")
def test_code_that_cannot_be_parsed_stops_or_is_rejected(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "site" / "broken_library-1.0.dist-info"
    metadata.mkdir(parents=True)
    (tmp_path / "site" / "broken_library.py").write_text('"""A library."""\ndef (:', encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-library\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "RECORD").write_text("broken_library.py,,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    raw = base("docs", folder)
    raw["ingest"]["distributions"] = ["pydantic", "broken-library"]
    assert left_by("ingest", with_values(raw, {}, folder), tmp_path).json("counts.json")["rejected"] == 1
    with pytest.raises(LikewiseError, match="broken_library"):
        left_by("ingest", with_values(raw, {"ingest.on_bad": "stop"}, folder), tmp_path)


@shows(
    *(f"ingest({kind}).marks" for kind in ("pairs", "beir", "hub", "python_docs")),
    *(f"ingest({kind}).marks" for kind in ("image_folder", "image_table", "image_archives", "image_items")),
)
@pytest.mark.parametrize("of", ["mined", "beir", "hub", "docs", "images", "image_table", "image_archives", "image_items"])
def test_marks_become_evidence(of: str, folder: Path, tmp_path: Path) -> None:
    raw = base(of, folder)
    if of.startswith("image"):
        mark_pictures(raw, folder, tmp_path)
        return
    raw["mine"] = {"num_negatives": 3, "range_max": 20}
    raw["encoder"]["dimension"] = 4  # a poor start: wrong documents score above the right ones
    if of == "docs":
        raw["ingest"] |= {"distributions": ["pydantic", "rich", "typer", "jinja2", "filelock"], "per_module": 60}
        raw["split"] |= {"exact": True, "largest_unit": 0.9}
    mined = left_by("mine", with_values(raw, {}, folder), folder)
    with mined.file("suspicious.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows, "the model before training finds suspicious negatives"
    rows[0]["mark"] = "alike"
    with (tmp_path / "marked.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    before = left_by("ingest", with_values(raw, {}, folder), folder).json("counts.json")["positives"]
    after = left_by("ingest", with_values(raw, {"ingest.marks": str(tmp_path / "marked.csv")}, folder), folder)
    assert after.json("counts.json")["positives"] == before + 1


def mark_pictures(raw: dict[str, Any], folder: Path, place: Path) -> None:
    """A pair of pictures marked by hand is evidence in the next run."""
    ids = list(Corpus(left_by("ingest", with_values(raw, {}, folder), folder)).ids)
    (place / "marked.csv").write_text(f"query_id,negative_id,mark\n{ids[0]},{ids[1]},alike\n", encoding="utf-8")
    marked = left_by("ingest", with_values(raw, {"ingest.marks": str(place / "marked.csv")}, folder), folder)
    pairs = Corpus(marked).pairs
    assert (pairs.a.tolist(), pairs.b.tolist(), pairs.label.tolist()) == ([0], [1], [1])


@shows("ingest(events).on_bad")
def test_an_event_that_cannot_be_read_stops_the_run_or_is_left_out(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "events", tmp_path / "events")
    (tmp_path / "events" / "event000000001.parquet").write_bytes(b"PAR1 and nothing else")
    raw = base("events", folder)
    raw["ingest"]["path"] = str(tmp_path / "events")
    with pytest.raises(LikewiseError, match="event000000001"):
        left_by("ingest", with_values(raw, {}, folder), tmp_path)
    rejected = left_by("ingest", with_values(raw, {"ingest.on_bad": "reject"}, folder), tmp_path)
    assert rejected.json("counts.json")["rejected"] == 1


@shows("train.shards_in_memory")
def test_shards_that_are_not_held_are_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.vectors import shards

    read: list[int] = []
    inner = shards.load_shard
    monkeypatch.setattr(
        shards, "load_shard", lambda corpus, number, device: (read.append(number), inner(corpus, number, device))[1]
    )

    def reads(capacity: int) -> int:
        read.clear()
        left_by("train", with_values(base("tracks", folder), {"train.shards_in_memory": capacity}, folder), folder)
        return len(read)

    assert reads(1) > reads(31) == len(set(read))
