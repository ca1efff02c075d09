"""The extractor for programs that hold pictures as arrays: every method, every field of its configuration."""

from __future__ import annotations

import io
import logging
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from likewise.data.image_refs import ImageRef
from likewise.encoders.image import ImageEncoder
from likewise.encoders.options import ImageEncoderOptions, PixelOptions
from likewise.errors import DataError, RecipeError
from likewise.vectors import backends, precision
from likewise.vectors import extractor as module
from likewise.vectors.cache import EmbeddingCache
from likewise.vectors.extract import extract
from likewise.vectors.extraction_config import ExtractionConfig
from likewise.vectors.extractor import EmbeddingExtractor, ExtractionTimeout
from likewise.vectors.options import EmbedOptions
from small_images import SIDE, picture, save_model, thermal

PICTURES = [picture(seed) for seed in range(7)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_model(tmp_path_factory.mktemp("models"), "dinov2"))


def made(model: str, folder: Path, **given: Any) -> EmbeddingExtractor:
    return EmbeddingExtractor("dinov2", ExtractionConfig(cache_dir=str(folder / "cache"), **given), model_path=model)


def test_vectors_are_those_of_a_run(model: str, tmp_path: Path) -> None:
    with made(model, tmp_path, enable_mixed_precision=False) as ours:
        found = ours.batch_extract(PICTURES)
        encoder = ImageEncoder(ImageEncoderOptions(model=model)).eval()
        expected = extract(encoder, PICTURES, options=EmbedOptions(precision="float32"))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(ours.extract_embedding(PICTURES[3]), found[3], atol=1e-5)
        assert found.dtype == np.float32


def test_duplicates_are_computed_once_and_order_is_kept(model: str, tmp_path: Path) -> None:
    with made(model, tmp_path) as ours:
        found = ours.batch_extract([PICTURES[1], PICTURES[0], PICTURES[1], PICTURES[0].copy()])
        np.testing.assert_array_equal(found[0], found[2])
        np.testing.assert_array_equal(found[1], found[3])
        assert not np.allclose(found[0], found[1])
        stats = ours.get_extraction_stats()
        assert (stats["pictures"], stats["computed"], stats["duplicates"], stats["batches"]) == (4, 2, 2, 1)
        assert ours.batch_extract([]).shape == (0, ours.get_model_info()["dimension"])


def test_the_cache_answers_the_second_time_and_another_extractor(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(model, tmp_path) as first:
        found = first.batch_extract(PICTURES)
    with made(model, tmp_path) as second:
        second.load_model()
        monkeypatch.setattr(ImageEncoder, "frame", lambda *_: pytest.fail("decoded"))
        monkeypatch.setattr(ImageEncoder, "forward", lambda *_: pytest.fail("computed"))
        np.testing.assert_array_equal(second.batch_extract(PICTURES), found)
        assert second.get_extraction_stats()["hits"] == len(PICTURES)
        assert second.get_performance_metrics()["cache_hit_rate"] == 1
        monkeypatch.undo()
        second.clear_cache()
        second.batch_extract(PICTURES)
        assert second.get_extraction_stats()["computed"] == len(PICTURES)
    with made(model, tmp_path / "none", cache_embeddings=False) as third:
        third.batch_extract(PICTURES)
        third.clear_cache()
    assert not (tmp_path / "none").exists()


def test_another_way_of_preparing_has_other_entries(model: str, tmp_path: Path) -> None:
    ready = np.zeros((SIDE, SIDE, 3), np.float32) + np.linspace(-1, 1, SIDE, dtype=np.float32)[:, None]
    with made(model, tmp_path, enable_preprocessing=False) as given:
        vector = given.extract_embedding(ready)
        with torch.no_grad():
            expected = ImageEncoder(ImageEncoderOptions(model=model)).eval()(
                torch.from_numpy(ready.transpose(2, 0, 1).copy())[None]
            )
        assert float(vector @ expected[0].numpy()) > 0.999
        with pytest.raises(DataError, match="is not prepared for the model, which takes float32"):
            given.extract_embedding(PICTURES[0])


def test_batches_are_no_larger_than_asked_and_than_memory_allows(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(model, tmp_path, batch_size=3, cache_embeddings=False) as ours:
        ours.batch_extract(PICTURES)
        assert ours.get_extraction_stats()["batches"] == 3
        monkeypatch.setattr(module, "FREE_SHARE", 1e-9)
        assert ours._adaptive_batch_size() == 1
        ours.batch_extract(PICTURES)
        assert ours.get_extraction_stats()["batches"] == 3 + len(PICTURES)


def test_a_batch_that_memory_does_not_hold_is_halved(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = ImageEncoder.forward

    def short_of_memory(self: ImageEncoder, prepared: Any) -> Any:
        if len(prepared) > 2:
            raise torch.OutOfMemoryError("not enough memory")
        return forward(self, prepared)

    with made(model, tmp_path, enable_mixed_precision=False) as ours:
        expected = ours.batch_extract(PICTURES)
        ours.clear_cache()
        monkeypatch.setattr(ImageEncoder, "forward", short_of_memory)
        np.testing.assert_allclose(ours.batch_extract(PICTURES), expected, atol=1e-5)
        assert ours.get_extraction_stats()["halved"] > 0


@pytest.mark.parametrize("policy", ["warn", "reject", "off"])
def test_quality(policy: str, model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with made(model, tmp_path, quality_policy=policy, quality_threshold=0.7) as ours:
        known = ours.batch_extract(PICTURES)
        assert ours.validate_embedding_quality(known[0]) > 0.7
        assert ours.validate_embedding_quality(known[0] * np.nan) == 0
        assert ours.validate_embedding_quality(known[0][:-1]) == 0
        ours.use_reference(-known)
        assert ours.validate_embedding_quality(known[0]) == 0, "far from the reference"
        ours.clear_cache()
        with caplog.at_level(logging.WARNING):
            found = ours.batch_extract(PICTURES)
        stats = ours.get_extraction_stats()
        rejected = policy == "reject"
        assert np.isnan(found).all() == rejected
        assert (stats["low_quality"], stats["rejected"]) == {"warn": (7, 0), "reject": (7, 7), "off": (0, 0)}[policy]
        assert ("quality 0.00 (drift)" in caplog.text) == (policy != "off")
        ours.batch_extract(PICTURES)
        assert ours.get_extraction_stats()["hits"] == (0 if rejected else 7), "what was rejected is not cached"


def test_a_batch_that_takes_too_long(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with made(model, tmp_path, timeout_seconds=0.2, batch_size=2) as ours:
        ours.enable_performance_optimizations()
        frame = ImageEncoder.frame
        monkeypatch.setattr(ImageEncoder, "frame", lambda self, image: time.sleep(0.5) or frame(self, image))
        with pytest.raises(ExtractionTimeout, match=r"more than timeout_seconds = 0\.2; raise it, or lower batch_size = 2"):
            ours.batch_extract(PICTURES)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the extractor takes for the time, in seconds; it stands still unless a test moves it."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


@pytest.mark.parametrize("cached", [True, False])
def test_vectors_that_came_too_late_are_cached(
    cached: bool, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    forward = ImageEncoder.forward

    def slow(self: ImageEncoder, batch: Any) -> Any:
        clock.now += 100
        return forward(self, batch)

    with made(model, tmp_path, batch_size=3, enable_mixed_precision=False, cache_embeddings=cached) as ours:
        ours.load_model()
        monkeypatch.setattr(ImageEncoder, "forward", slow)
        with pytest.raises(ExtractionTimeout, match=r"took 100\.0 s, more than timeout_seconds = 30") as told:
            ours.batch_extract(PICTURES)
        assert ("cache" in str(told.value)) == cached
        stats = ours.get_extraction_stats()
        assert (stats["pictures"], stats["computed"]) == (7, 3), "what was asked for, and what was done"
        monkeypatch.setattr(ImageEncoder, "forward", forward)
        ours.batch_extract(PICTURES)
        assert ours.get_extraction_stats()["hits"] == (3 if cached else 0)


def test_a_batch_that_was_prepared_too_late_is_not_computed(model: str, tmp_path: Path, clock: SimpleNamespace) -> None:
    """Its last picture is ready when it is asked for, but only just."""

    class Late(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            clock.now += 100
            return np.zeros((3, 2, 2), np.float32)

    with pytest.raises(ExtractionTimeout, match=r"took 100\.0 s"):
        made(model, tmp_path)._parallel_preprocess([Late()], clock.now)


def test_a_picture_that_hangs_holds_up_neither_the_error_nor_the_end_of_the_program(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, ended, seen = threading.Event(), [], []

    def frame(self: ImageEncoder, image: Any) -> Any:
        seen.append(threading.current_thread())
        begun.set()
        released.wait(60)
        ended.append(image)
        return image

    begun, wait = threading.Event(), Future.result

    def result(self: Future[Any], timeout: float | None = None) -> Any:
        """Nothing is too late before the picture is at work."""
        begun.wait(60)
        return wait(self, timeout)

    with made(model, tmp_path, timeout_seconds=0.01, max_workers=1) as ours:
        ours.load_model()
        monkeypatch.setattr(ImageEncoder, "frame", frame)
        monkeypatch.setattr(Future, "result", result)
        with pytest.raises(ExtractionTimeout):
            ours.batch_extract(PICTURES)
        assert not ended, "the error did not wait for it"
        assert all(thread.daemon for thread in seen), "nor does the interpreter"
        released.set()
        seen[0].join(60)
    assert len(seen) == len(ended) == 1, "what had not begun was dropped"


def test_no_limit_of_time(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = ImageEncoder.frame
    monkeypatch.setattr(ImageEncoder, "frame", lambda self, image: time.sleep(0.2) or frame(self, image))
    with made(model, tmp_path, timeout_seconds=float("inf")) as ours:
        assert np.isfinite(ours.batch_extract(PICTURES[:2])).all()


def test_pictures_are_prepared_in_so_many_threads_and_so_far_ahead(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, ahead, lock = set(), [], threading.Lock()
    frame, forward = ImageEncoder.frame, ImageEncoder.forward
    prepared = [0]

    def watched(self: ImageEncoder, image: Any) -> Any:
        time.sleep(0.01)
        with lock:
            seen.add(threading.current_thread().name)
            prepared[0] += 1
        return frame(self, image)

    def counted(self: ImageEncoder, batch: Any) -> Any:
        time.sleep(0.3)
        ahead.append(prepared[0])
        return forward(self, batch)

    monkeypatch.setattr(ImageEncoder, "frame", watched)
    given = {"cache_embeddings": False, "batch_size": 1, "enable_mixed_precision": False, "quality_policy": "off"}
    for workers, batches in ((1, 1), (3, 3)):
        seen.clear(), ahead.clear()
        prepared[0] = 0
        with made(model, tmp_path, max_workers=workers, prefetch_factor=batches, **given) as ours:
            ours.load_model()
            monkeypatch.setattr(ImageEncoder, "forward", counted)
            ours.batch_extract(PICTURES[:5])
            monkeypatch.setattr(ImageEncoder, "forward", forward)
        assert len(seen) == workers
        assert ahead[0] == 1 + batches, "the first, and what was prepared while the model worked on it"


def test_memory_is_pinned_and_the_gpu_taken_where_there_is_one(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(model, tmp_path, use_gpu=False) as ours:
        assert ours.get_model_info()["device"] == "cpu"
    pinned, moved = [], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(ImageEncoder, "to", lambda self, device: moved.append(device) or self)
    made(model, tmp_path, use_gpu=True).load_model()
    made(model, tmp_path, use_gpu=False).load_model()
    assert moved == ["cuda", "cpu"]
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(1) or self)
    for pin in (True, False):
        ours = made(model, tmp_path, pin_memory=pin, use_gpu=False).load_model()
        future: Any = type("Done", (), {"result": lambda self, timeout: np.zeros((3, 2, 2), np.float32)})()
        ours._parallel_preprocess([future], time.perf_counter())
    assert len(pinned) == 1


def test_precision(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settled(name: str, least: float, **config: Any) -> Any:
        monkeypatch.setattr(backends, "COSINE_TO_FLOAT32", least)
        with made(model, tmp_path / name, **config) as ours:
            ours.batch_extract(PICTURES)
            return ours.get_model_info()["precision"]

    monkeypatch.setattr(precision, "_fast_bfloat16", lambda device: True)
    assert settled("off", 0.5, enable_mixed_precision=False) == "float32"
    assert settled("near", 0.5) == "bfloat16"
    assert settled("far", 1.1) == "float32"


def test_optimising_takes_openvino_where_it_is_there(model: str, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    with made(model, tmp_path, enable_mixed_precision=False) as ours:
        before = ours.batch_extract(PICTURES)
        assert ours.get_model_info()["backend"] == "torch"
        ours.optimize_for_inference()
        assert ours.get_model_info()["backend"].startswith("openvino")
        np.testing.assert_allclose(ours.batch_extract(PICTURES), before, atol=1e-4)
        assert ours.get_extraction_stats()["hits"] == 0, "another backend has its own entries"


def test_what_was_measured(model: str, tmp_path: Path) -> None:
    with made(model, tmp_path, batch_size=2) as ours:
        before = ours.get_performance_metrics()
        assert before["throughput"] is before["p50_ms"] is before["cache_hit_rate"] is None
        ours.warmup(3)
        assert set(ours.get_extraction_stats().values()) == {0}, "warming up is not counted"
        start = time.perf_counter()
        ours.batch_extract(PICTURES)
        took = time.perf_counter() - start
        found = ours.get_performance_metrics()
        assert found["throughput"] >= len(PICTURES) / took * 0.99
        assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= 1000 * took
        assert found["memory_bytes"] > 1e7
        info = ours.get_model_info()
        assert info["input_size"] == [SIDE, SIDE]
        assert info["parameters"] > 1000


def test_many_threads_at_once(model: str, tmp_path: Path) -> None:
    with made(model, tmp_path, enable_mixed_precision=False) as ours:
        expected = ours.batch_extract(PICTURES)
        found: dict[int, Any] = {}

        def work(number: int) -> None:
            order = np.random.default_rng(number).permutation(len(PICTURES))
            found[number] = (order, ours.batch_extract([PICTURES[place] for place in order]))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for order, vectors in found.values():
            np.testing.assert_allclose(vectors, expected[order], atol=1e-5)
        assert ours.get_extraction_stats()["pictures"] == 7 * len(PICTURES)


def test_frames_of_16_bits(model: str, tmp_path: Path) -> None:
    with made(model, tmp_path) as ours:
        found = ours.batch_extract([thermal(seed) for seed in range(4)])
        assert len(np.unique(found.round(4), axis=0)) == 4


def test_a_model_that_is_not_there_names_the_path(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r'model_path = ".*nowhere" does not exist; give the folder'):
        EmbeddingExtractor(model_path=str(tmp_path / "nowhere")).load_model()
    monkeypatch.setattr("likewise.encoders.hub.hub_answers", lambda: False)
    with pytest.raises(
        DataError, match=r'"microsoft/resnet-50" is neither a folder here .*; give the folder of a model as model_path'
    ):
        EmbeddingExtractor("resnet50").extract_embedding(PICTURES[0])
    assert EmbeddingExtractor("resnet50").load_model(model).get_model_info()["model_path"] == model


def test_pixel_options_are_those_of_a_run(model: str, tmp_path: Path) -> None:
    """Their vectors, and the names of these in the cache."""
    pixels = PixelOptions(window="limits", limits=(12_900, 13_500), gamma=0.5, clahe=2)
    frames = [thermal(seed) for seed in range(3)]
    encoder = ImageEncoder(ImageEncoderOptions(model=model, pixels=pixels)).eval()
    options = EmbedOptions(precision="float32", cache_dir=str(tmp_path / "cache"))
    expected = extract(encoder, frames, options=options)
    given = {"enable_mixed_precision": False, "batch_size": 3}
    with made(model, tmp_path, pixels=pixels, **given) as ours:
        np.testing.assert_array_equal(ours.batch_extract(frames), expected)
        assert ours.get_extraction_stats()["hits"] == 3
        assert ours.get_model_info()["space"] == encoder.space
        ours.clear_cache()
        np.testing.assert_allclose(ours.batch_extract(frames), expected, atol=1e-5)
    with made(model, tmp_path, **given) as plain:
        assert np.abs(plain.batch_extract(frames) - expected).max() > 0.01
        assert plain.get_extraction_stats()["hits"] == 0


def test_a_window_names_the_picture_and_the_remedy(model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = np.linspace(0, 1, 4000, dtype=np.float32).reshape(50, 80)
    frame[0, 0] = 1e9
    remedy = r"in ExtractionConfig\(pixels=PixelOptions\(…\)\)\."
    with made(model, tmp_path) as ours, pytest.raises(DataError, match=f"^picture 1: The window from .* to 1e.09 .*{remedy}$"):
        ours.batch_extract([PICTURES[0], frame])
    with made(model, tmp_path, pixels=PixelOptions(window="frame", percentiles=(1, 99))) as ours:
        ours.batch_extract([PICTURES[0], frame])
        ours.batch_extract([PICTURES[0], frame])
        ours.batch_extract([np.zeros((50, 80), np.float32)])  # of which nothing is cut
    assert caplog.text.count("The window cut off values") == 1, "what was cut off is told, once"


def test_the_page_that_is_read(model: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    pages = [Image.fromarray(picture) for picture in PICTURES[:2]]
    pages[0].save(file, "tiff", save_all=True, append_images=pages[1:])
    given = {"enable_mixed_precision": False, "cache_embeddings": False}
    with made(model, tmp_path, pixels=PixelOptions(frame=1), **given) as ours:
        found = ours.batch_extract([file.getvalue(), PICTURES[0], PICTURES[1]])
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)
    assert not np.allclose(found[0], found[1], atol=1e-2)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda known: np.where(np.arange(len(known)) == 4, np.nan, known.T).T, "has 1 rows .*, the first 4"),
        (lambda known: np.where(np.arange(len(known)) > 1, np.inf, known.T).T, r"has 5 rows .*, the first 2; leave them out"),
        (lambda known: known * 0, "the first 0"),
        (lambda known: known[:0], r"holds float32 \[0, 32\]"),
        (lambda known: known[0], r"holds float32 \[32\]"),
        (lambda known: known[:, :8], r"holds float32 \[7, 8\]; give vectors \[R, 32\] of this model"),
        (lambda known: known.astype(str), "holds <U"),
    ],
)
def test_a_reference_that_cannot_be_compared_with(wrong: Any, told: str, model: str, tmp_path: Path) -> None:
    with made(model, tmp_path, quality_policy="off") as ours:
        known = ours.batch_extract(PICTURES)
        with pytest.raises(DataError, match=told):
            ours.use_reference(wrong(known))


def test_quality_is_of_one_vector(model: str, tmp_path: Path) -> None:
    with made(model, tmp_path) as ours:
        for wrong in (np.ones((2, 32)), np.ones(0), np.array(["1"] * 32), 1.0):
            with pytest.raises(DataError, match=r"is no vector; give \[D\] numbers"):
                ours.validate_embedding_quality(wrong)


@pytest.mark.parametrize("policy", ["warn", "off"])
def test_vectors_that_are_not_finite_are_not_cached(
    policy: Any, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ImageEncoder, batch: Any) -> Any:
        return torch.where(torch.arange(len(batch))[:, None] == 1, torch.nan, forward(self, batch))

    forward = ImageEncoder.forward
    with made(model, tmp_path, quality_policy=policy, enable_mixed_precision=False) as ours:
        monkeypatch.setattr(ImageEncoder, "forward", broken)
        assert np.isnan(ours.batch_extract(PICTURES)[1]).all()
        monkeypatch.setattr(ImageEncoder, "forward", forward)
        assert np.isfinite(ours.batch_extract(PICTURES)).all()


def test_warming_up_leaves_nothing_in_the_cache(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was settled is remembered beside it."""
    monkeypatch.setattr(precision, "_fast_bfloat16", lambda device: True)
    with made(model, tmp_path) as ours:
        ours.warmup()
        cache = ours._open_cache()
        assert cache is not None
        stats = cache.get_stats()
        assert (stats.entries, stats.bytes, stats.hits, stats.misses) == (0, 0, 0, 0)
    with made(model, tmp_path) as second:
        second.load_model()
        monkeypatch.setattr(ImageEncoder, "forward", lambda *_: pytest.fail("computed"))
        second.batch_extract([])
        with pytest.raises(RecipeError, match=r"warmup\(num_warmup_images=0\): give at least 1"):
            second.warmup(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"max_workers": 0},
        {"prefetch_factor": 0},
        {"quality_threshold": 1.5},
        {"timeout_seconds": 0},
        {"timeout_seconds": float("nan")},
        {"quality_policy": "x"},
        {"pixels": PixelOptions(gamma=2), "enable_preprocessing": False},
    ],
)
def test_a_configuration_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        ExtractionConfig(**wrong)


def test_a_window_that_would_have_to_be_learnt() -> None:
    with pytest.raises(RecipeError, match=r'PixelOptions\(window="data"\) is learnt by a run; give window="limits"'):
        ExtractionConfig(pixels=PixelOptions(window="data"))


def test_pictures_of_all_kinds_together(model: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    image = Image.fromarray(PICTURES[0])
    image.save(file, "png")
    encoded = file.getvalue()
    with made(model, tmp_path, enable_mixed_precision=False) as ours:
        found = ours.batch_extract([PICTURES[0], image, encoded, bytearray(encoded), memoryview(encoded), PICTURES[1]])
        np.testing.assert_allclose(found[1:5], np.tile(found[0], (4, 1)), atol=1e-5)
        assert ours.get_extraction_stats()["duplicates"] == 3, "of the pixels one, and of the bytes two"
        np.testing.assert_allclose(ours.extract_embedding(image), found[0], atol=1e-5)
        np.testing.assert_allclose(ours.batch_extract(picture for picture in PICTURES[:2]), found[[0, 5]], atol=1e-5)


@pytest.mark.parametrize("one", [PICTURES[0], Image.fromarray(PICTURES[0]), b"encoded", "picture.png"])
def test_one_picture_is_no_list(one: Any, model: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="was given one picture; give a list of them, or call extract_embedding"):
        made(model, tmp_path).batch_extract(one)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (b"", "^picture 1 "),
        (b"no picture", "^picture 1 "),
        ("picture.png", "^picture 1 is a str; give a numpy array or a PIL image"),
        (np.zeros((0, 4, 3), np.uint8), r"^picture 1 has the shape \[0, 4, 3\]"),
        (np.full((4, 4), None), "^picture 1 has values of type object"),
        (np.full((4, 4), np.nan, np.float32), "^picture 1 has 16 values that are not finite"),
        (PICTURES[0][None], r"^picture 1 has the shape \[1, 90, 120, 3\]"),
        (Image.new("RGB", (0, 4)), "^picture 1 has 0×4 pixels"),
    ],
)
def test_what_is_no_picture_names_its_place(wrong: Any, told: str, model: str, tmp_path: Path) -> None:
    with made(model, tmp_path, cache_embeddings=False) as ours, pytest.raises(DataError, match=told):
        ours.batch_extract([PICTURES[0], wrong])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (np.full((SIDE, SIDE, 3), np.nan, np.float32), "^picture 1 has values that are not finite numbers"),
        (np.zeros((SIDE, SIDE, 3)), r"^picture 1 \(float64 \[56, 56, 3\]\) is not prepared"),
        (np.full((SIDE, SIDE, 3), None), r"^picture 1 \(object \[56, 56, 3\]\) is not prepared"),
        (Image.fromarray(PICTURES[0]), r"^picture 1 \(a Image\) is not prepared"),
    ],
)
def test_what_is_not_prepared_names_its_place(wrong: Any, told: str, model: str, tmp_path: Path) -> None:
    with made(model, tmp_path, cache_embeddings=False, enable_preprocessing=False) as ours, pytest.raises(DataError, match=told):
        ours.batch_extract([np.zeros((SIDE, SIDE, 3), np.float32), wrong])


def test_pil_images_are_named_by_the_pixels_that_are_used(model: str, tmp_path: Path) -> None:
    """Two palettes of equal indices, and one picture in two orientations, are different pictures."""
    one = Image.fromarray(PICTURES[0]).quantize(8)
    other = one.copy()
    other.putpalette([255 - value for value in one.getpalette() or ()])
    turned = Image.fromarray(PICTURES[1])
    turned.info["exif"] = b"Exif\0\0" + turned_exif()
    images = [one, other, Image.fromarray(PICTURES[1]), turned]
    with made(model, tmp_path, enable_mixed_precision=False) as ours:
        together = ours.batch_extract(images)
        assert ours.get_extraction_stats()["duplicates"] == 0
    with made(model, tmp_path / "other", enable_mixed_precision=False) as ours:
        np.testing.assert_allclose(together, [ours.extract_embedding(image) for image in images], atol=1e-5)
        assert ours.get_extraction_stats()["hits"] == 0


def turned_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_a_model_loaded_meanwhile_does_not_change_a_call(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = str(save_model(tmp_path, "clip"))  # of another dimension
    with made(
        model, tmp_path, batch_size=1, max_workers=1, enable_mixed_precision=False, quality_policy="reject", quality_threshold=0.1
    ) as ours:
        frame, asked = ImageEncoder.frame, []

        def meddling(self: ImageEncoder, image: Any) -> Any:
            if not asked:
                asked.append(True)
                ours.load_model(second)
            return frame(self, image)

        monkeypatch.setattr(ImageEncoder, "frame", meddling)
        found = ours.batch_extract(PICTURES[:3])
    assert np.isfinite(found).all()
    with made(model, tmp_path, enable_mixed_precision=False) as again:
        np.testing.assert_allclose(again.batch_extract(PICTURES[:3]), found)
        assert again.get_extraction_stats()["hits"] == 3
    with made(model, tmp_path, cache_embeddings=False, enable_mixed_precision=False) as fresh:
        np.testing.assert_allclose(fresh.batch_extract(PICTURES[:3]), found, atol=1e-5)


def test_halves_of_a_batch_that_was_given_as_it_is(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = [np.random.default_rng(seed).normal(size=(SIDE, SIDE, 3)).astype(np.float32) for seed in range(4)]
    with made(model, tmp_path, enable_preprocessing=False, cache_embeddings=False, enable_mixed_precision=False) as ours:
        whole = ours.batch_extract(ready)
        forward = ImageEncoder.forward

        def short_of_memory(self: ImageEncoder, batch: Any) -> Any:
            if len(batch) > 2:
                raise MemoryError
            return forward(self, batch)

        monkeypatch.setattr(ImageEncoder, "forward", short_of_memory)
        np.testing.assert_allclose(ours.batch_extract(ready), whole, atol=1e-5)
        assert ours.get_extraction_stats()["halved"] == 1
        monkeypatch.setattr(ImageEncoder, "forward", never)
        with pytest.raises(DataError, match=r"picture 0 alone does not fit in memory \(MemoryError\)"):
            ours.batch_extract(ready)


def never(self: ImageEncoder, batch: Any) -> Any:
    raise MemoryError


def test_cached_vectors_are_judged_too(model: str, tmp_path: Path) -> None:
    with made(model, tmp_path, quality_policy="off") as ours:
        ours.batch_extract(PICTURES[:3])
    with made(model, tmp_path, quality_policy="reject", quality_threshold=1.0) as strict:
        assert np.isnan(strict.batch_extract(PICTURES[:3])).all()
        stats = strict.get_extraction_stats()
        assert (stats["hits"], stats["rejected"]) == (3, 3)


def test_a_runs_cache_is_shared_and_not_made_smaller(model: str, tmp_path: Path) -> None:
    encoded = []
    for number, pixels in enumerate(PICTURES[:3]):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        encoded.append((tmp_path / f"{number}.png").read_bytes())
    refs = [ImageRef.of_bytes(data) for data in encoded]
    options = EmbedOptions(precision="float32", cache_dir=str(tmp_path / "cache"))
    extract(ImageEncoder(ImageEncoderOptions(model=model)).eval(), refs, options=options)
    with EmbeddingCache(tmp_path / "cache", max_size=None) as cache:
        keys = [number.to_bytes(32, "big") for number in range(10_100)]
        cache.put_many(keys, np.ones((len(keys), 2), np.float32))
    with made(model, tmp_path, enable_mixed_precision=False, batch_size=3) as ours:
        ours.batch_extract([*encoded, PICTURES[5]])
        assert ours.get_extraction_stats()["hits"] == 3
    with EmbeddingCache(tmp_path / "cache", max_size=None) as cache:
        assert cache.get_stats().entries >= 10_104


def test_bytes_of_the_cache_are_bounded(model: str, tmp_path: Path) -> None:
    with made(model, tmp_path, cache_bytes=1000, batch_size=1) as ours:
        ours.batch_extract(PICTURES)
    with EmbeddingCache(tmp_path / "cache", max_size=None) as cache:
        assert cache.get_stats().bytes <= 1000
