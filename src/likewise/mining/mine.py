"""The stage `mine`: from vectors to the documents that each training query should learn to push away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from likewise.artifacts.draft import Draft
from likewise.artifacts.files import replacing
from likewise.data.corpus import Corpus
from likewise.data.evidence import evidence_of
from likewise.data.split import Division
from likewise.encoders.cross import CrossEncoder, open_cross_encoder
from likewise.encoders.options import TextEncoderOptions
from likewise.encoders.text import TextEncoder
from likewise.errors import DataError
from likewise.mining.kept import KeptBlocks, Mined
from likewise.mining.known import KnownAlike, contains
from likewise.mining.miner import Ground, Rescore, merged, mine_hard, pair_scores
from likewise.mining.options import MineOptions
from likewise.mining.outcome import MiningReport
from likewise.types import SPLITS, Float32, Int64, Negatives, Pairs, Progress, Role
from likewise.vectors.extract import extract
from likewise.vectors.options import EmbedOptions
from likewise.vectors.precision import device_for, precision_for
from likewise.vectors.store import Vectors

TRAIN = SPLITS.index("train")
PART_ITEMS = 16_384  # texts embedded by a mining model between two points from which a killed run goes on

Say = Callable[[str], None]


def mine(draft: Draft, options: MineOptions, vectors: Vectors, corpus: Corpus, division: Division, classes: Int64) -> None:
    """Write negatives.parquet (anchor, item, score, rank), suspicious.csv to be read and marked, and mining.json with the counts.

    With `options.model` that model computes vectors of its own first; they are kept until the stage is done.
    """
    if draft.has("mining.json"):  # written last
        return
    ours = vectors.array if options.model is None else _model_vectors(draft, options, corpus, division)
    negatives, report = mine_negatives(
        ours,
        corpus,
        division,
        classes,
        options,
        draft.seed,
        progress=lambda done, total: draft.progress(done, total, "queries mined"),
        say=draft.say,
        kept=KeptBlocks(draft.scratch("blocks")),
    )
    draft.write_table("negatives.parquet", as_table(negatives))
    draft.write_text("suspicious.csv", report.suspicious.as_csv(corpus))
    draft.write_json("mining.json", report.as_json())
    for sentence in report.sentences(options.num_negatives):
        draft.say(sentence)


def mine_negatives(
    vectors: Float32,
    corpus: Corpus,
    division: Division,
    classes: Int64,
    options: MineOptions,
    seed: int,
    *,
    progress: Progress | None = None,
    say: Say = lambda sentence: None,
    kept: KeptBlocks | None = None,
) -> tuple[Negatives, MiningReport]:
    """Negatives of the train queries among all documents of the corpus, by the cosine of `vectors` [N, D] float32.

    A document that is a positive of validation or test queries only may be a negative here: the corpus is shared, and to leave
    such documents out would tell training which they are. Negatives known from the data (label 0) are always there, with rank
    -1, unless a near-duplicate of the document is a positive: such contradictions are counted and left out.
    """
    evidence = evidence_of(corpus.pairs, classes, None if corpus.groups is None else corpus.groups.codes)
    anchors, documents = division.queries("train"), division.documents(corpus, "train")
    stated, apart = _of_anchors(corpus.pairs, anchors, label=1), _known_negatives(corpus, division)
    sound = evidence.label(apart.a, apart.b)[0] == 0
    known = KnownAlike.of(anchors, evidence.positives(anchors), stated, classes, documents)
    apart_keys = np.sort(np.searchsorted(anchors, apart.a) * len(corpus) + apart.b)
    ground = Ground(anchors, documents, classes, known, division.positives(corpus, "train"), apart_keys)
    rescore = _rescorer(options, corpus, say)
    device = _search_device(options)
    mined = mine_hard(vectors, ground, options, seed, rescore=rescore, progress=progress, device=device, kept=kept)
    a, b = apart.a[sound], apart.b[sound]
    given = Negatives(a, b, rescore(a, b) if rescore else pair_scores(vectors, a, b), np.full(len(a), -1, np.int64))
    negatives = merged(mined.negatives, given) if len(given) else mined.negatives
    return negatives, _report(ground, mined, negatives, options, contradicted=int(np.count_nonzero(~sound)))


def as_table(negatives: Negatives) -> pa.Table:
    """The columns anchor, item (int64), score (float32) and rank (int64)."""
    return pa.table({name: getattr(negatives, name) for name in ("anchor", "item", "score", "rank")})


def _device(options: MineOptions) -> torch.device:
    return device_for(options.device, "mine")


def _search_device(options: MineOptions) -> str:
    """A CUDA GPU, or the CPU, which searches by faiss; the search has not been tried on Apple's GPUs."""
    return "cuda" if _device(options).type == "cuda" else "cpu"


def _of_anchors(pairs: Pairs[Int64], anchors: Int64, *, label: int) -> Pairs[Int64]:
    """The corpus's pairs of one label whose query is an anchor, in any split: a held-out positive is no negative either."""
    return _taken(pairs, (pairs.label == label) & (pairs.weight > 0) & contains(anchors, pairs.a))


def _known_negatives(corpus: Corpus, division: Division) -> Pairs[Int64]:
    """Pairs of label 0 in the train split."""
    pairs = corpus.pairs
    train = (division.pairs == TRAIN) & contains(division.queries("train"), pairs.a)
    return _taken(pairs, (pairs.label == 0) & (pairs.weight > 0) & train)


def _taken(pairs: Pairs[Int64], which: NDArray[np.bool_]) -> Pairs[Int64]:
    return Pairs(pairs.a[which], pairs.b[which], pairs.label[which], pairs.weight[which])


def _rescorer(options: MineOptions, corpus: Corpus, say: Say) -> Rescore | None:
    """Scores of pairs of rows by the cross-encoder, if there is one; a text is fetched once per call."""
    if options.cross_encoder is None:
        return None
    device = _device(options)
    opened = open_cross_encoder(options.cross_encoder.model, str(device))
    bfloat16 = precision_for(opened, device, "auto") == "bfloat16"
    model = CrossEncoder(opened, batch_size=options.cross_encoder.batch_size, bfloat16=bfloat16, say=say)

    def rescore(a: Int64, b: Int64) -> Float32:
        rows, place = np.unique(np.concatenate([a, b]), return_inverse=True)
        texts = corpus.payload(rows)
        return model.score([texts[at] for at in place[: len(a)]], [texts[at] for at in place[len(a) :]])

    return rescore


def _model_vectors(draft: Draft, options: MineOptions, corpus: Corpus, division: Division) -> Float32:
    """[N, D] float32 by the mining model, memory-mapped: train queries and documents; the other rows are zero and not asked for.

    Computed in parts that outlive a kill.
    """
    folder = draft.scratch("model")
    encoder = _open(options)
    how = EmbedOptions(batch_items=options.batch_size, device=options.device)
    asked: dict[Role, Int64] = {"query": division.queries("train"), "document": division.documents(corpus, "train")}
    total, done = sum(len(rows) for rows in asked.values()), 0
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (len(corpus), encoder.dimension))
    for role, rows in asked.items():
        for start in range(0, len(rows), PART_ITEMS):
            part = rows[start : start + PART_ITEMS]
            path = folder / f"{role}-{start}.npy"
            if not path.exists():
                found = extract(encoder, corpus.payload(part), role, how, say=draft.say)
                with replacing(path) as temporary, temporary.open("wb") as file:
                    np.save(file, found)
            vectors[part] = np.load(path, mmap_mode="r")
            done += len(part)
            draft.progress(done, total, "items by the mining model")
    return vectors


def _open(options: MineOptions) -> TextEncoder:
    assert options.model is not None
    try:
        return TextEncoder(
            TextEncoderOptions(model=options.model, query_prompt=options.query_prompt, document_prompt=options.document_prompt)
        )
    except DataError as error:
        raise DataError(str(error).replace("[encoder]", "[mine]", 1)) from error


def _report(ground: Ground, mined: Mined, negatives: Negatives, options: MineOptions, *, contradicted: int) -> MiningReport:
    chosen, every = (
        np.bincount(np.searchsorted(ground.anchors, found.anchor), minlength=len(ground.anchors))
        for found in (mined.negatives, negatives)
    )
    return MiningReport(
        anchors=len(ground.anchors),
        documents=len(ground.documents),
        removed=mined.removed,
        chosen=len(mined.negatives),
        known=len(negatives) - len(mined.negatives),
        contradicted=contradicted,
        fewer=int(np.count_nonzero(chosen < options.num_negatives)),
        none=int(np.count_nonzero(every == 0)),
        suspicious=mined.suspicious,
    )
