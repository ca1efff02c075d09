"""A run on a few generated events: real artifacts, but that the trained model is an encoder with other random weights."""

import numpy as np

from likewise.data.corpus import Corpus
from likewise.data.ingest import ingest
from likewise.data.options import GeneratedEventsOptions, GeneratorOptions, SplitOptions
from likewise.data.split import Division
from likewise.data.split_shards import divide_shards
from likewise.encoders.fit import fit
from likewise.encoders.options import HitEncoderOptions
from likewise.evaluation.graph_evaluate import evaluate_graphs
from likewise.evaluation.options import GraphEvaluateOptions
from likewise.testing.artifacts import draft, publish
from likewise.types import SPLITS

METRICS = "step,loss,purity@0.98\n2,0.5,\n4,0.4,\n4,,0.0021\n8,0.3,\n8,,0.0032\n"


def make_events_run(folder, *, chosen="trained", events=8, validation=0.1, test=0.6, radius=None):
    """The finished artifacts by stage; the training events are measured where `test` is 0."""
    generator = GeneratorOptions(particles=400, wedge=0.25)
    found = _made(folder, "ingest", ingest, GeneratedEventsOptions(events=events, generator=generator))
    corpus = Corpus(found)
    split = _made(folder, "split", divide_shards, SplitOptions(validation=validation, test=test, exact=True), corpus)
    division = Division(split)
    start = _made(folder, "fit", fit, HitEncoderOptions(widths=(8,), dimension=3, seed=1), corpus, division)
    training = draft(folder, "train")
    fit(training, HitEncoderOptions(widths=(8,), dimension=3, seed=1 if chosen == "start" else 3), corpus, division)
    choice = {"chosen": chosen, "step": 8, "metric": "purity@0.98", "start": 0.0011, "best": 0.0032, "guard": None}
    training.write_json("chosen.json", choice)
    training.write_text("metrics.csv", METRICS)
    trained = publish(training)
    options = GraphEvaluateOptions(resamples=200, radius=radius)
    measured = _made(folder, "evaluate", evaluate_graphs, options, corpus, division, start, trained)
    graphs = draft(folder, "graph")
    graphs.write_json("graphs.json", {"radius": 0.51234, "max_neighbors": 30, "events": list(_kept(corpus, division))})
    return {"ingest": found, "split": split, "fit": start, "train": trained, "evaluate": measured, "graph": publish(graphs)}


def _made(folder, stage, work, *inputs):
    out = draft(folder, stage)
    work(out, *inputs)
    return publish(out)


def _kept(corpus, division):
    splits = {int(number): name for name in SPLITS for number in division.shards(name)}
    for number, split in sorted(splits.items()):
        shard = corpus.shards[number]
        counts = {"hits": len(shard), "edges": 1000 * (number + 1), "cut": int(np.sign(number))}
        yield {"event": shard.name, "split": split, **counts, "file": f"graphs/{split}/{shard.name}.npz"}
