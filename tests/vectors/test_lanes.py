import threading
from contextlib import suppress

import pytest
import torch

from likewise.testing.encoders import FakeEncoder
from likewise.vectors.backends import EXACT, Way
from likewise.vectors.extract import extract
from likewise.vectors.lanes import Lanes
from likewise.vectors.options import EmbedOptions


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Meeting(FakeEncoder):
    """Batches wait in `prepare` or in `forward` for another one."""

    def __init__(self, where):
        super().__init__()
        self.where = where
        self.shares = set()
        self.meeting = threading.Barrier(2)

    def prepare(self, *given):
        if self.where == "prepare":
            self.meeting.wait(timeout=30)
        return super().prepare(*given)

    def forward(self, prepared):
        self.shares.add(torch.get_num_threads())
        if self.where == "forward":
            self.meeting.wait(timeout=30)
        return super().forward(prepared)


@pytest.mark.parametrize("where", ["prepare", "forward"])
def test_batches_are_prepared_and_computed_side_by_side_on_a_cpu(where):
    encoder = Meeting(where)
    options = EmbedOptions(batch_items=1, precision="float32", backend="torch", device="cpu", workers=2)
    extract(encoder, ["one", "two"], options=options)
    assert encoder.shares == {1}
    assert torch.get_num_threads() == 2, "the others get their threads back"


def test_one_batch_has_all_threads():
    encoder = Meeting("nowhere")
    extract(encoder, ["one", "two"], options=EmbedOptions(precision="float32", backend="torch", device="cpu"))
    assert encoder.shares == {2}


def test_threads_take_turns_where_code_is_compiled():
    lanes = Lanes.of(torch.device("cpu"), Way("compiled", "float32"), 5, 3)
    assert lanes == Lanes(3, together=False)
    turn = lanes.turn()
    with lanes.pool() as threads:
        with turn:
            waiting = threads.submit(turn.__enter__)
            assert threads.submit(torch.get_num_threads).result() == 2
            assert not waiting.done()
        waiting.result(timeout=30)


@pytest.mark.parametrize(
    ("device", "batches", "wanted", "expected"),
    [("cpu", 9, None, 2), ("cpu", 1, None, 1), ("cpu", 0, None, 1), ("cpu", 9, 5, 5), ("cuda", 9, 5, 5), ("cuda", 3, 5, 3)],
)
def test_there_are_no_more_threads_than_batches(device, batches, wanted, expected):
    assert Lanes.of(torch.device(device), EXACT, batches, wanted) == Lanes(expected, together=device == "cpu")


def test_an_error_leaves_what_has_not_begun():
    all_threads, gate = torch.get_num_threads(), threading.Event()
    begun = []
    with suppress(KeyboardInterrupt), Lanes(1, together=True).pool() as threads:
        threads.submit(gate.wait, 10)
        threads.submit(begun.append, 2).add_done_callback(lambda _: gate.set())
        raise KeyboardInterrupt
    assert not begun
    assert torch.get_num_threads() == all_threads


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_told_is_that_of_the_first_batch_that_has_one(workers):
    class Broken(FakeEncoder):
        def forward(self, prepared):
            if len(prepared["words"]) in (3, 5):
                raise RuntimeError(f"broken at {len(prepared['words'])}")
            return super().forward(prepared)

    items = [" ".join(["word"] * count) for count in range(1, 9)]
    options = EmbedOptions(batch_items=1, precision="float32", backend="torch", device="cpu", workers=workers)
    encoder = Broken().train()
    for _ in range(5):
        with pytest.raises(RuntimeError, match="broken at 5"):  # the longest go first
            extract(encoder, items, options=options)
    assert encoder.training
    assert torch.get_num_threads() == 2


def test_a_thread_that_begins_beside_a_pool_has_all_threads():
    found = []

    def beside():
        lanes = Lanes.of(torch.device("cpu"), EXACT, 9, None)
        with lanes.pool() as threads:
            found.append((lanes.threads, threads.submit(torch.get_num_threads).result()))
        found.append(torch.get_num_threads())

    with Lanes(2, together=True).pool() as threads:
        assert threads.submit(torch.get_num_threads).result() == 1
        other = threading.Thread(target=beside)
        other.start()
        other.join()
    assert found == [(2, 1), 2]
    assert torch.get_num_threads() == 2
