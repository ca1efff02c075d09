import numpy as np
import pytest

from likewise.data.corpus import WholeShard
from likewise.evaluation.edges import TrueEdges
from likewise.evaluation.event_sample import EDGES, HITS, PARTICLE, chosen_hits, edges_around, write_event_sample
from likewise.testing.artifacts import draft, publish
from likewise.types import Pairs


def event(sizes=(3, 6, 6, 8), signal=(True, True, True, False), noise=20, seed=0):
    """Particles with so many hits each, numbered from 1, and noise; the hits shuffled."""
    random = np.random.default_rng(seed)
    particle = np.concatenate([np.repeat(np.arange(1, len(sizes) + 1), sizes), np.zeros(noise, int)])
    random.shuffle(particle)
    count = len(particle)
    features = np.stack([random.uniform(30, 1000, count), random.uniform(-3, 3, count), random.normal(0, 500, count)], axis=1)
    far = np.hypot(features[:, 0], features[:, 2])
    a, b, weight = [], [], []
    for number, (size, matters) in enumerate(zip(sizes, signal, strict=True), start=1):
        rows = np.flatnonzero(particle == number)
        rows = rows[np.argsort(far[rows])]
        a += rows[:-1].tolist()
        b += rows[1:].tolist()
        weight += [float(matters)] * (size - 1)
    pairs = Pairs(np.array(a, int), np.array(b, int), np.ones(len(a), np.int8), np.array(weight, np.float32))
    values = random.random(count).astype(np.float32)
    columns = {"particle": particle, "pt": values, "particle_eta": values - 2, "production_radius": values + np.nan}
    shard = WholeShard("event 1", 0, features.astype(np.float32), columns, pairs)
    return shard, TrueEdges.of(np.stack([pairs.a, pairs.b]), hits=count, signal=pairs.weight > 0, weight=pairs.weight)


@pytest.mark.parametrize("seed", range(5))
def test_the_signal_particle_with_most_hits_is_chosen(seed):
    shard, true = event(seed=seed)
    chosen = chosen_hits(shard, true)
    particle = shard.columns["particle"]
    first = min((np.flatnonzero(particle == number)[0], number) for number in (2, 3))[1]  # 4 has more hits, but is not signal
    assert sorted(chosen) == np.flatnonzero(particle == first).tolist()
    far = np.hypot(shard.features[chosen, 0], shard.features[chosen, 2])
    assert (np.diff(far) >= 0).all()


def test_an_event_without_signal_has_no_such_particle():
    shard, true = event(signal=(False,) * 4)
    assert not len(chosen_hits(shard, true))
    empty, none = event(sizes=(), signal=(), noise=5)
    assert not len(chosen_hits(empty, none))


@pytest.mark.parametrize("radius", [0.0, 0.7, 1.5, 100.0])
def test_edges_are_those_of_brute_force(radius):
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    chosen = np.array([3, 40, 11])
    expected = {
        (min(a, b), max(a, b))
        for a in chosen.tolist()
        for b in range(60)
        if a != b and np.linalg.norm(vectors[a].astype(float) - vectors[b].astype(float)) <= radius
    }
    found = edges_around(vectors, chosen, radius)
    assert sorted(expected) == [tuple(pair) for pair in found.T.tolist()]


def test_what_is_kept_can_be_drawn(tmp_path):
    shard, true = event()
    chosen = chosen_hits(shard, true)
    radii = {"before": 0.0, "after": 2.0}
    edges = {name: edges_around(shard.features / 500, chosen, radius) for name, radius in radii.items()}
    out = draft(tmp_path)
    write_event_sample(out, shard, true, edges, radii, chosen)
    kept = publish(out)
    hits = kept.table(HITS)
    np.testing.assert_allclose(np.hypot(hits["x"], hits["y"]), shard.features[:, 0], rtol=1e-5)
    place = hits["place"].to_numpy()
    np.testing.assert_array_equal(np.argsort(np.where(place < 0, 999, place), kind="stable")[: len(chosen)], chosen)
    edges = kept.table(EDGES).to_pylist()
    assert {edge["system"] for edge in edges} == {"after"}  # within a radius of 0 there are none
    known = {tuple(sorted(pair)) for pair in zip(shard.pairs.a.tolist(), shard.pairs.b.tolist(), strict=True)}
    assert all(edge["true"] == ((edge["first"], edge["second"]) in known) for edge in edges)
    told = kept.json(PARTICLE)
    assert told["event"] == "event 1"
    assert told["hits"] == len(chosen)
    assert told["production_radius"] is None  # unknown
    assert told["radii"] == radii
