"""The reference workloads: seeded, so that every machine and every run measures the same points.

Shapes: N points, D dimensions.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from likewise.types import Float32

DATA = Path(os.environ.get("LIKEWISE_DATA", Path(__file__).parents[2] / "shared" / "data"))
LARGE = (2000, 1500)  # width and height of a large photograph
GRAIN = 6.0  # standard deviation of its noise, in grey levels
TRACKS, HITS = 10_000, 10  # each track leaves this many hits
MEAN_NEIGHBORS = 100
SAMPLE = 4000  # queries of which the mean number of neighbors is measured


def surface(dimension: int, *, tracks: int = TRACKS, seed: int = 0) -> Float32:
    """Points [tracks x 10, D] of unit length, as a trained embedding of detector hits lies.

    The centres of the tracks lie on a smooth surface of four parameters (azimuth, pseudorapidity and two more) through 64
    random sines; the hits of a track scatter by 0.02 around its centre.
    """
    rng = np.random.default_rng(seed)
    azimuth = rng.uniform(-np.pi, np.pi, tracks)
    others = rng.uniform(-1, 1, (tracks, 3))
    parameters = np.column_stack([np.cos(azimuth), np.sin(azimuth), others])
    waves = np.sin(parameters @ rng.normal(0, 1, (5, 64)) + rng.uniform(0, 2 * np.pi, 64))
    centres = _unit(waves @ rng.normal(0, 1, (64, dimension)))
    return _shuffled(_unit(_hits(centres, 0.02, rng)), rng)


def isotropic(dimension: int, *, tracks: int = TRACKS, seed: int = 0) -> Float32:
    """Points [tracks x 10, D]: centres normal in all dimensions, the hits of a track scattered by 0.05 around its centre."""
    rng = np.random.default_rng(seed)
    return _shuffled(_hits(rng.normal(0, 1, (tracks, dimension)), 0.05, rng), rng)


def large_photographs(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """JPEGs of 2000 × 1500 in a folder: photographs of clothing enlarged, with noise; of smooth colours where those are not."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    sources = sorted((DATA / "images" / "clothing10").rglob("*.jpg"))
    chosen = rng.choice(len(sources), count, replace=len(sources) < count).tolist() if sources else [None] * count
    paths = []
    for number, place in enumerate(chosen):
        small = (
            Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)) if place is None else Image.open(sources[place])
        )
        large = np.asarray(small.convert("RGB").resize(LARGE, Image.Resampling.BICUBIC), dtype=np.float32)
        grainy = (large + rng.normal(0, GRAIN, large.shape)).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{number:04d}.jpg")
        Image.fromarray(grainy).save(paths[-1], quality=90)
    return paths


def radius_for(points: Float32, mean: float = MEAN_NEIGHBORS, *, seed: int = 0) -> float:
    """The radius within which a point has `mean` neighbors on average, by bisection on a sample of the points."""
    tree = cKDTree(points)
    chosen = np.random.default_rng(seed).choice(len(points), min(SAMPLE, len(points)), replace=False)
    queries = points[chosen]
    low, high = 0.0, 1.0
    while _mean_neighbors(tree, queries, high) < mean:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _mean_neighbors(tree, queries, middle) < mean else (low, middle)
    return high


def _mean_neighbors(tree: cKDTree, queries: Float32, radius: float) -> float:
    return float(tree.query_ball_point(queries, radius, return_length=True).mean()) - 1  # a point is not its own neighbor


def _hits(centres: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """[tracks x HITS, D]"""
    return np.repeat(centres, HITS, axis=0) + rng.normal(0, spread, (len(centres) * HITS, centres.shape[1]))


def _shuffled(points: np.ndarray, rng: np.random.Generator) -> Float32:
    """Hits come in the order of the detector's read-out, not track by track."""
    return points[rng.permutation(len(points))].astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
