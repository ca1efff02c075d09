"""Small events of straight tracks, and a search that every graph can be built with."""

import numpy as np

from likewise.evaluation.edges import TrueEdges
from likewise.graphs.build import build_graph
from likewise.graphs.event import GraphOptions, HitArrays, Pedigree
from likewise.neighbors import oracle
from likewise.types import Edges

LAYERS = np.array([30.0, 70.0, 120.0, 170.0, 260.0])


def within(points, radius, *, queries=None, max_neighbors=None, each_pair_once=False):
    """The oracle with the options of the fast search."""
    edges = oracle.within(points, radius, queries=queries, max_neighbors=max_neighbors)
    kept = edges.query < edges.point if each_pair_once else np.ones(len(edges.query), bool)
    return Edges(edges.query[kept], edges.point[kept], edges.distance[kept].astype(np.float32), edges.cut)


def backwards(points, radius, **named):
    """The same edges in another order, each the other way round."""
    edges = within(points, radius, **named)
    return Edges(edges.point[::-1], edges.query[::-1], edges.distance[::-1], edges.cut)


def event(seed=0, *, name="event000000001", tracks=12, noise=6):
    """Hits in shuffled order, and vectors that lie near those of the same track."""
    random = np.random.default_rng(seed)
    phi = np.repeat(random.uniform(-np.pi, np.pi, tracks), len(LAYERS))
    r = np.concatenate([np.tile(LAYERS, tracks), random.choice(LAYERS, noise)])
    phi = np.concatenate([phi, random.uniform(-np.pi, np.pi, noise)])
    z = np.concatenate(
        [np.tile(LAYERS, tracks) * np.repeat(random.normal(0, 1, tracks), len(LAYERS)), random.normal(0, 90, noise)]
    )
    particle = np.concatenate([np.repeat(np.arange(1, tracks + 1), len(LAYERS)), np.zeros(noise, np.int64)])
    count = len(r)
    shuffle = random.permutation(count)
    place = np.argsort(shuffle)  # where each hit went
    rows = np.arange(tracks * len(LAYERS)).reshape(tracks, -1)
    true = place[np.stack([rows[:, :-1].ravel(), rows[:, 1:].ravel()])]
    signal = np.repeat(random.random(tracks) < 0.7, len(LAYERS) - 1)
    features = np.stack([r / 100, phi, z / 100], axis=1)[shuffle].astype(np.float32)
    hits = HitArrays(
        event=name,
        hit_id=(1000 + random.permutation(count)).astype(np.int64),
        particle=particle[shuffle],
        r=r[shuffle].astype(np.float32),
        phi=phi[shuffle].astype(np.float32),
        z=z[shuffle].astype(np.float32),
        features=features,
        true=TrueEdges.of(true, hits=count, signal=signal, weight=random.uniform(0.5, 2, true.shape[1])),
    )
    vectors = np.stack([np.cos(hits.phi), np.sin(hits.phi), hits.z / np.maximum(hits.r, 1)], axis=1).astype(np.float32)
    return hits, vectors + random.normal(0, 0.02, vectors.shape).astype(np.float32)


def pedigree(**options):
    return Pedigree(GraphOptions(**{"radius": 0.4, **options}), {"trained": "space-1"}, {"train": "key-1"})


def graph(seed=0, *, search=within, options=None, **named):
    hits, vectors = event(seed, **named)
    return build_graph(hits, vectors, pedigree(**(options or {})), search)


def same(one, other):
    """Whether two graphs are equal in everything that is written."""
    first, second = one.arrays(), other.arrays()
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.dtype == second[name].dtype, name
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    assert (one.event, one.cut, one.pedigree.as_json()) == (other.event, other.cut, other.pedigree.as_json())
