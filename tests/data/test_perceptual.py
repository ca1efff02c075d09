import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFilter
from scipy.fft import dctn

from likewise.data import perceptual
from likewise.data.perceptual import dhash, distance, phash, thumbnail_vectors
from likewise.errors import DataError


def slow_phash(picture):
    """As the imagehash package has it, bit after bit."""
    low = dctn(np.asarray(picture, np.float64), type=2)[:8, :8]
    median = np.median(low)
    return sum(int(low[row, column] > median) << (63 - 8 * row - column) for row in range(8) for column in range(8))


def slow_dhash(picture):
    return sum(int(picture[row, x + 1] > picture[row, x]) << (63 - 8 * row - x) for row in range(8) for x in range(8))


def smooth_pictures(count, side=32, seed=0):
    """Pictures [count, side, side] uint8 of random waves, the long ones strong, as in photographs."""
    frequencies = np.arange(16)
    waves = np.cos(np.pi * np.outer(frequencies, (np.arange(side) + 0.5) / side))
    strengths = np.random.default_rng(seed).standard_normal((count, 16, 16)) / (1 + np.add.outer(frequencies, frequencies))
    pictures = waves.T @ strengths @ waves
    low, high = pictures.min(axis=(1, 2), keepdims=True), pictures.max(axis=(1, 2), keepdims=True)
    return np.round(30 + 190 * (pictures - low) / (high - low)).astype(np.uint8)


# phash


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_phash_is_the_discrete_cosine_transform_and_the_median(kind):
    generator = np.random.default_rng(1)
    pictures = np.concatenate([generator.integers(0, 256, (200, 32, 32)), smooth_pictures(200)]).astype(kind)
    assert phash(pictures).tolist() == [slow_phash(picture) for picture in pictures]


def test_phash_by_the_definition():
    picture = np.random.default_rng(2).integers(0, 256, (32, 32))
    coefficients = [
        sum(
            int(picture[y, x]) * math.cos(math.pi * v * (2 * y + 1) / 64) * math.cos(math.pi * u * (2 * x + 1) / 64)
            for y in range(32)
            for x in range(32)
        )
        for v in range(8)
        for u in range(8)
    ]
    median = sum(sorted(coefficients)[31:33]) / 2
    bits = "".join(str(int(coefficient > median)) for coefficient in coefficients)
    assert f"{int(phash(picture[None].astype(np.uint8))[0]):064b}" == bits


def test_hashes_stay_the_same_for_ever():
    """Stored ones must go on being comparable."""
    y, x = np.mgrid[:32, :32]
    picture = ((x * x + 7 * y * x + 3 * y) % 256).astype(np.uint8)
    assert f"{int(phash(picture[None])[0]):016x}" == "800714271b6f5f6f"
    assert f"{int(dhash(picture[None, 20:28, 20:29])[0]):016x}" == "2244104104108000"


@given(st.integers(0, 255))
def test_a_uniform_picture_has_one_hash_at_any_brightness(grey):
    assert phash(np.full((1, 32, 32), grey, np.uint8)).tolist() == [1 << 63]
    assert phash(np.full((1, 32, 32), grey / 255, np.float32)).tolist() == [1 << 63]
    assert dhash(np.full((1, 8, 9), grey, np.uint8)).tolist() == [0]


@given(arrays(np.uint8, (32, 32), elements=st.integers(0, 150)), st.integers(0, 100), st.floats(0.001, 30))
@settings(max_examples=60, deadline=None)
def test_brightness_and_contrast_do_not_change_phash(picture, brighter, contrast):
    """Nor rounding: pictures as hypothesis makes them are full of frequencies that vanish."""
    own = phash(picture[None])[0]
    assert phash((picture + np.uint8(brighter))[None])[0] == own
    scale = np.float32(2.0 ** round(math.log2(contrast)))  # so that scaling itself does not round
    assert phash(picture[None].astype(np.float32) * scale)[0] == own


def test_frequencies_that_vanish_by_symmetry_are_not_left_to_rounding():
    half = smooth_pictures(50)[:, :, :16]
    pictures = np.concatenate([half, half[:, :, ::-1]], axis=2)
    own = phash(pictures)
    for hashed, picture in zip(own.tolist(), pictures, strict=True):
        low = dctn(picture.astype(np.float64), type=2)[:8, :8]
        low[:, 1::2] = 0
        above = (low > np.median(low)).reshape(-1)
        assert [hashed >> 63 - place & 1 for place in range(64)] == above.tolist()
    assert np.array_equal(phash(pictures.astype(np.float32) / 4 + 3), own)
    assert np.array_equal(phash(pictures.copy(order="F")), own)


def test_slight_changes_keep_the_hashes_close_and_other_pictures_are_far():
    large = smooth_pictures(60, side=256)
    small = [Image.fromarray(picture) for picture in large]

    def looks(pictures, way=Image.Resampling.BOX):
        sizes = ((32, 32), (9, 8))
        grids = [np.stack([np.asarray(picture.resize(size, way)) for picture in pictures]) for size in sizes]
        return phash(grids[0]), dhash(grids[1])

    own = looks(small)
    blurred = looks([picture.filter(ImageFilter.GaussianBlur(2)) for picture in small])
    resized = looks([picture.resize((180, 200)) for picture in small], Image.Resampling.BILINEAR)
    for hashes, blur, resize in zip(own, blurred, resized, strict=True):
        others = distance(hashes[:, None], hashes[None])[np.triu_indices(60, 1)]
        for changed in (blur, resize):
            assert distance(hashes, changed).max() < others.min()
            assert np.median(distance(hashes, changed)) <= 4
        assert np.median(others) >= 28


# dhash and distance


@given(arrays(np.uint8, (8, 9)))
@settings(deadline=None)
def test_dhash(picture):
    assert dhash(picture[None]).tolist() == [slow_dhash(picture)]
    assert dhash(picture[None].astype(np.float32) / 255).tolist() == [slow_dhash(picture)]


def test_dhash_does_not_wrap_around():
    steps = np.tile(np.array([0, 255, 0, 200, 201, 201, 0, 1, 255], np.uint8), (8, 1))
    assert int(dhash(steps[None])[0]) == int("10110011" * 8, 2)


whole = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(whole, whole), max_size=20))
def test_distance(pairs):
    a, b = (np.array([pair[side] for pair in pairs], np.uint64) for side in (0, 1))
    found = distance(a, b)
    assert found.dtype == np.uint8
    assert found.tolist() == [(x ^ y).bit_count() for x, y in pairs]


def test_distance_broadcasts():
    a = np.array([0, 2**64 - 1], np.uint64)
    assert distance(a[:, None], a[None]).tolist() == [[0, 64], [64, 0]]
    assert distance(np.uint64(5), a).tolist() == [2, 62]
    with pytest.raises(DataError, match="int64"):
        distance(a.view(np.int64), a)
    with pytest.raises(DataError, match="int"):
        distance(a, 3)


# Thumbnails


def slow_vector(thumbnail):
    values = [int(value) for value in thumbnail.reshape(-1)]
    mean = sum(values) / len(values)
    length = math.sqrt(sum((value - mean) ** 2 for value in values))
    return [(value - mean) / length if length else 0.0 for value in values]


def test_thumbnail_vectors_are_centred_and_of_unit_length():
    thumbnails = np.random.default_rng(3).integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    vectors = thumbnail_vectors(thumbnails)
    assert vectors.dtype == np.float32
    assert vectors.shape == (20, 768)
    np.testing.assert_allclose(vectors, [slow_vector(thumbnail) for thumbnail in thumbnails], atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors.sum(axis=1), 0, atol=1e-5)


def test_products_are_correlations_of_the_pixels():
    thumbnails = np.random.default_rng(4).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    vectors = thumbnail_vectors(thumbnails)
    assert vectors[0] @ vectors[1] == pytest.approx(np.corrcoef(thumbnails.reshape(2, -1))[0, 1], abs=1e-6)


def test_brightness_goes_and_colour_stays():
    dim = np.random.default_rng(5).integers(0, 100, (1, 16, 16, 3)).astype(np.uint8)
    assert np.array_equal(thumbnail_vectors(dim), thumbnail_vectors(dim + np.uint8(120)))
    grey, red, blue, darker_red = (
        np.full((1, 16, 16, 3), colour, np.uint8) for colour in ((77, 77, 77), (200, 0, 0), (0, 0, 200), (90, 0, 0))
    )
    assert not thumbnail_vectors(grey).any()
    one, other, darker = (thumbnail_vectors(picture)[0] for picture in (red, blue, darker_red))
    assert one @ other < 0
    assert one @ darker == pytest.approx(1, abs=1e-6)


# All of them


def test_slices_of_any_size_give_the_same(monkeypatch):
    pictures = smooth_pictures(25)
    thumbnails = np.random.default_rng(6).integers(0, 256, (25, 16, 16, 3)).astype(np.uint8)
    at_once = phash(pictures), thumbnail_vectors(thumbnails)
    monkeypatch.setattr(perceptual, "SLICE", 7)
    assert np.array_equal(phash(pictures), at_once[0])
    assert np.array_equal(thumbnail_vectors(thumbnails), at_once[1])


def test_no_pictures():
    assert phash(np.empty((0, 32, 32), np.uint8)).shape == (0,)
    assert dhash(np.empty((0, 8, 9), np.float32)).shape == (0,)
    assert thumbnail_vectors(np.empty((0, 16, 16, 3), np.uint8)).shape == (0, 768)


def test_what_is_no_small_picture_is_refused():
    with pytest.raises(DataError, match=r"\[1, 32, 31\].*\[count, 32, 32\]"):
        phash(np.zeros((1, 32, 31), np.uint8))
    with pytest.raises(DataError, match=r"\[count, 8, 9\]"):
        dhash(np.zeros((8, 9), np.uint8))
    with pytest.raises(DataError, match=r"\[count, 16, 16, 3\]"):
        thumbnail_vectors(np.zeros((1, 16, 16), np.uint8))
    with pytest.raises(DataError, match="uint16"):
        phash(np.zeros((1, 32, 32), np.uint16))
    with pytest.raises(DataError, match="float32"):
        thumbnail_vectors(np.zeros((1, 16, 16, 3), np.float32))
    pictures = np.zeros((3, 8, 9), np.float32)
    pictures[1, 2, 3] = np.nan
    with pytest.raises(DataError, match="Picture 1 given to dhash"):
        dhash(pictures)
