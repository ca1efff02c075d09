import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.errors import DamagedArtifact
from likewise.vectors import environment
from likewise.vectors.cache import CHECKSUM_BYTES, ENTRY_BYTES, EmbeddingCache, cache_key, item_digest


def vector(seed, dimension=8):
    return np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)


def key(name):
    return cache_key(item_digest(str(name)), "model")


def test_what_was_put_is_got_to_the_bit(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        assert cache.get("text", "v1") is None
        cache.put("text", "v1", vector(0))
        np.testing.assert_array_equal(cache.get("text", "v1"), vector(0))
        assert cache.get("text", "v2") is None
        cache.put("text", "v1", vector(1))
        np.testing.assert_array_equal(cache.get("text", "v1"), vector(1))
        stats = cache.get_stats()
    assert (stats.entries, stats.hits, stats.misses) == (1, 2, 2)
    with EmbeddingCache(tmp_path) as cache:
        np.testing.assert_array_equal(cache.get("text", "v1"), vector(1))


def test_digests_tell_kinds_types_and_shapes_apart():
    zeros = np.zeros(4, dtype=np.float32)

    class Reference:
        def digest(self):
            return b"text"

    items = [
        "text", b"text", Reference(), "", b"", zeros, zeros.reshape(2, 2), zeros.astype(np.int32), zeros[:2], "\ud800",
        np.frombuffer(b"text", dtype=np.uint8),
    ]  # fmt: skip
    assert len({item_digest(item) for item in items}) == len(items)
    assert item_digest(np.arange(6).reshape(2, 3).T) == item_digest(np.arange(6).reshape(2, 3).T.copy())


def test_many_at_once_keep_their_order_and_dimension(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put_many([key(n) for n in range(5)], np.stack([vector(n) for n in range(5)]))
        cache.put("short", "model", vector(9, 3))
        found = cache.get_many([key(3), key("none"), key("short"), key(0)], dimension=8)
    np.testing.assert_array_equal(found[0], vector(3))
    np.testing.assert_array_equal(found[3], vector(0))
    assert found[1] is None
    assert found[2] is None  # another dimension


def test_clear_forgets_everything(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put("text", "v1", vector(0))
        cache.clear()
        assert cache.get("text", "v1") is None
        assert (cache.get_stats().entries, cache.get_stats().bytes) == (0, 0)
        cache.put("text", "v1", vector(0))
        assert cache.get_stats().entries == 1


# Room


def test_longest_unused_goes_first(tmp_path):
    with EmbeddingCache(tmp_path, max_size=3) as cache:
        for name in "abc":
            cache.put(name, "model", vector(0))
        cache.get("a", "model")  # "b" is now the longest unused
        cache.put("d", "model", vector(0))
        assert [name for name in "abcd" if cache.get(name, "model") is not None] == ["a", "c", "d"]
        assert cache.get_stats().evicted == 1


def test_uses_are_remembered_by_the_next_process(tmp_path):
    with EmbeddingCache(tmp_path, max_size=3) as cache:
        for name in "abc":
            cache.put(name, "model", vector(0))
    with EmbeddingCache(tmp_path, max_size=3) as cache:
        cache.get("a", "model")
    with EmbeddingCache(tmp_path, max_size=3) as cache:
        cache.put("d", "model", vector(0))
        assert cache.get("a", "model") is not None
        assert cache.get("b", "model") is None


def test_bytes_of_live_entries_are_bounded(tmp_path):
    each = 4 * 8 + ENTRY_BYTES
    with EmbeddingCache(tmp_path, max_size=None, max_bytes=5 * each + 1) as cache:
        for n in range(20):
            cache.put(n.to_bytes(2), "model", vector(n))
            assert cache.get_stats().bytes == min(n + 1, 5) * each
        assert cache.get((19).to_bytes(2), "model") is not None
        cache.put((19).to_bytes(2), "model", vector(0))  # replaced, not added
        assert cache.get_stats().entries == 5


@settings(deadline=None, max_examples=15)
@given(operations=st.lists(st.tuples(st.sampled_from(["put", "get", "flush"]), st.integers(0, 8)), max_size=40))
def test_behaves_like_a_list_ordered_by_use(operations, tmp_path_factory):
    """One writing transaction for each operation, so that generations order single uses."""
    order = []  # longest unused first
    with EmbeddingCache(tmp_path_factory.mktemp("cache"), max_size=4) as cache:
        for name, n in operations:
            if name == "put":
                cache.put(str(n), "model", vector(n))
                order = [*[other for other in order if other != n], n][-4:]
            elif name == "get":
                found = cache.get(str(n), "model")
                assert (found is not None) == (n in order)
                if n in order:
                    order = [*[other for other in order if other != n], n]
            cache.flush()
            assert cache.get_stats().entries == len(order)


# Damage


def test_damaged_value_is_a_miss_and_is_replaced(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put("text", "model", vector(0))
        cache.put("other", "model", vector(1))

        def damage(transaction):
            for place in (0, CHECKSUM_BYTES, -1):
                name = cache._get_cache_key("text", "model")
                value = bytearray(transaction.get(name, db=cache._tables["vectors"]))
                value[place] ^= 1
                transaction.put(name, bytes(value), db=cache._tables["vectors"])

        cache._environment.write(damage)
        assert cache.get("text", "model") is None
        assert cache.get_stats().damaged == 1
        np.testing.assert_array_equal(cache.get("other", "model"), vector(1))
        cache.put("text", "model", vector(0))
        np.testing.assert_array_equal(cache.get("text", "model"), vector(0))
        assert cache.get_stats().entries == 2


def test_value_of_another_key_is_a_miss(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put("text", "model", vector(0))

        def swap(transaction):
            value = bytes(transaction.get(cache._get_cache_key("text", "model"), db=cache._tables["vectors"]))
            transaction.put(cache._get_cache_key("other", "model"), value, db=cache._tables["vectors"])

        cache._environment.write(swap)
        assert cache.get("other", "model") is None


@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_folder_that_is_no_cache_says_what_to_do(damage, tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put_many([key(n) for n in range(400)], np.stack([vector(n, 64) for n in range(400)]))
    data = tmp_path / "data.mdb"
    data.write_bytes(data.read_bytes()[: 3 * 4096] if damage == "cut" else b"\x07" * data.stat().st_size)
    with pytest.raises(DamagedArtifact, match="delete the folder"):
        EmbeddingCache(tmp_path)


# Many at once


def test_map_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "FIRST_MAP_BYTES", 1 << 16)
    with EmbeddingCache(tmp_path, max_size=None) as cache:
        for n in range(10):
            cache.put_many([key((n, m)) for m in range(50)], np.stack([vector(m, 64) for m in range(50)]))
        np.testing.assert_array_equal(cache.get_many([key((9, 7))])[0], vector(7, 64))
        assert cache.get_stats().entries == 500


def test_two_in_one_process_share_the_folder(tmp_path):
    with EmbeddingCache(tmp_path) as one:
        with EmbeddingCache(tmp_path / ".." / tmp_path.name) as other:
            one.put("text", "model", vector(0))
            assert other.get("text", "model") is not None
        assert one.get("text", "model") is not None  # the first is still open
        one.close()
        one.close()  # twice does no harm


def test_threads_share_one_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "FIRST_MAP_BYTES", 1 << 16)
    with EmbeddingCache(tmp_path, max_size=None) as cache:

        def work(n):
            cache.put_many([key((n, m)) for m in range(20)], np.stack([vector(n * 20 + m, 64) for m in range(20)]))
            return all(found is not None for found in cache.get_many([key((n, m)) for m in range(20)]))

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(24)))
        assert cache.get_stats().entries == 24 * 20


WRITER = """
import sys
import numpy as np
from likewise.vectors import environment
from likewise.vectors.cache import EmbeddingCache, cache_key, item_digest

environment.FIRST_MAP_BYTES = 1 << 16
folder, rounds = sys.argv[1], int(sys.argv[2])
with EmbeddingCache(folder, max_size=300) as cache:
    for turn in range(rounds):
        keys = [cache_key(item_digest(f"{(turn * 7 + n) % 400}"), "model") for n in range(10)]
        values = [np.full(64, (turn * 7 + n) % 400, dtype=np.float32) for n in range(10)]
        for value, found in zip(values, cache.get_many(keys)):
            assert found is None or np.array_equal(found, value), "a wrong vector"
        cache.put_many(keys, np.stack(values))
        print(turn, flush=True)
"""


def writer(folder, rounds):
    command = [sys.executable, "-c", WRITER, str(folder), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def check_books(folder):
    """The four tables tell the same story."""
    with EmbeddingCache(folder, max_size=None) as cache:

        def count(transaction):
            return {name: transaction.stat(db=table)["entries"] for name, table in cache._tables.items()}

        counts, stats = cache._environment.read(count), cache.get_stats()
        assert counts["vectors"] == counts["generations"] == counts["order"] == stats.entries <= 300
        assert stats.bytes == stats.entries * (64 * 4 + ENTRY_BYTES)
        for n in range(400):
            found = cache.get(str(n), "model")
            assert found is None or np.array_equal(found, np.full(64, n, dtype=np.float32))
        return stats.entries


def test_many_processes_and_kills_leave_a_whole_cache(tmp_path):
    with ExitStack() as processes:
        victims = [processes.enter_context(writer(tmp_path, 2000)) for _ in range(2)]
        writers = [processes.enter_context(writer(tmp_path, 60)) for _ in range(2)]
        for place, victim in enumerate(victims):
            assert victim.stdout.readline(), victim.stderr.read()  # it has written once
            time.sleep(0.03 * place)
            victim.send_signal(signal.SIGKILL)
            victim.communicate(timeout=60)
        for process in writers:
            _, error = process.communicate(timeout=60)
            assert process.returncode == 0, error
        assert [victim.returncode for victim in victims] == [-signal.SIGKILL] * 2
    assert check_books(tmp_path) > 0
