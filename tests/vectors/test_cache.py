import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data.image_refs import ImageRef
from likewise.errors import DamagedArtifact, DataError, RecipeError
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
    assert item_digest(b"text") == item_digest(ImageRef.of_bytes(b"text")), "a file's bytes and a reference to it"
    for nothing in (3, np.array([object()])):
        with pytest.raises(DataError, match="is no payload"):
            item_digest(nothing)
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


@pytest.mark.parametrize("wrong", [np.ones((2, 3)), np.ones(0), 1.0, ["a", "b"], [None], [1j]])
def test_what_is_no_vector_is_not_kept(wrong, tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        with pytest.raises(DataError, match=re.escape(f"{list(np.shape(wrong))} is no vector; give [D] numbers")):
            cache.put("text", "model", wrong)
        assert cache.get_stats().entries == 0


@pytest.mark.parametrize("wrong", [np.ones((1, 3), np.float32), np.ones(2, np.float32), np.ones((2, 3, 4), np.float32)])
def test_each_key_has_one_vector(wrong, tmp_path):
    with EmbeddingCache(tmp_path) as cache, pytest.raises(DataError, match=r"2 keys have vectors .*; give \[2, D\]"):
        cache.put_many([key(1), key(2)], wrong)


# Room


@pytest.mark.parametrize("bound", [{"max_size": 0}, {"max_size": -1}, {"max_bytes": 0}, {"max_bytes": -5}])
def test_a_bound_that_leaves_no_room(bound, tmp_path):
    with pytest.raises(RecipeError, match=f"{next(iter(bound))}={next(iter(bound.values()))}.: give at least 1, or None"):
        EmbeddingCache(tmp_path / "cache", **bound)
    assert not (tmp_path / "cache").exists()


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


def test_a_file_without_its_last_free_pages_is_whole(tmp_path):
    """What one transaction puts and drops again is never written, though LMDB counts its pages."""
    draw = random.Random(58)
    for _ in range(12):
        with EmbeddingCache(tmp_path, max_size=draw.choice([1, 5, 50])) as cache:
            for _ in range(draw.randint(1, 4)):
                count, dimension = draw.randint(1, 60), draw.choice([8, 500, 768, 3000])
                keys = [key(draw.randrange(200)) for _ in range(count)]
                cache.put_many(keys, np.stack([vector(0, dimension)] * count))
                kept = [found for found in cache.get_many(keys) if found is not None]
                assert len(kept) > 0
                assert all(np.array_equal(found, vector(0, dimension)) for found in kept)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_file_that_was_cut_off_never_gives_a_wrong_vector(share, tmp_path):
    """In a process of its own: looking at a page that is not there would end it."""
    with EmbeddingCache(tmp_path, max_size=None) as cache:
        for start in range(0, 120, 10):
            cache.put_many(
                [key(n) for n in range(start, start + 10)], np.stack([vector(n, 600) for n in range(start, start + 10)])
            )
    data = tmp_path / "data.mdb"
    os.truncate(data, int(share * data.stat().st_size))
    look = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from test_cache import *\n"
        "try:\n"
        "    with EmbeddingCache(sys.argv[1]) as cache:\n"
        "        for n in range(120):\n"
        "            found = cache.get(str(n), 'model')\n"
        "            assert found is None or np.array_equal(found, vector(n, 600)), 'a wrong vector'\n"
        "except DamagedArtifact as error:\n"
        "    print(error)\n"
    )
    here = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", look, str(tmp_path), here], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "delete the folder" in done.stdout


@pytest.mark.parametrize("table", ["generations", "order"])
def test_a_damaged_age_is_no_obstacle(table, tmp_path):
    """Entries without an age, and ages without an entry: nothing is stuck, and room is still made."""
    with EmbeddingCache(tmp_path, max_size=4) as cache:
        cache.put_many([key(n) for n in range(4)], np.stack([vector(n) for n in range(4)]))

        def damage(transaction):
            with transaction.cursor(db=cache._tables[table]) as cursor:
                cursor.first()
                name, value = bytearray(cursor.key()), bytes(cursor.value())
            transaction.delete(bytes(name), db=cache._tables[table])
            name[-1] ^= 1
            transaction.put(bytes(name), value, db=cache._tables[table])

        cache._environment.write(damage)
        for n in range(20):
            cache.put_many([key(n)], vector(n)[None])
            np.testing.assert_array_equal(cache.get_many([key(n)])[0], vector(n))
        assert cache.get_stats().entries <= 4


def test_a_folder_that_was_mended_opens_again_in_the_same_process(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put_many([key(n) for n in range(400)], np.stack([vector(n, 64) for n in range(400)]))
    whole = (tmp_path / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(whole[: 3 * 4096])
    with pytest.raises(DamagedArtifact) as caught:
        EmbeddingCache(tmp_path)
    (tmp_path / "data.mdb").write_bytes(whole)
    with EmbeddingCache(tmp_path) as cache:
        assert cache.get_many([key(7)])[0] is not None, caught.value  # the error, and what it refers to, is still held


def test_a_full_disk_says_what_to_do(tmp_path, monkeypatch):
    def full(*_):
        raise lmdb.DiskError("mdb_txn_commit: No space left on device")

    with EmbeddingCache(tmp_path) as cache:
        with monkeypatch.context() as patch:
            patch.setattr(cache._environment, "_begin", full)
            with pytest.raises(DataError, match=r"No space left on device\); make room on its disk"):
                cache.put("text", "model", vector(0))
        cache.put("text", "model", vector(0))
        assert cache.get("text", "model") is not None


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


def test_uses_are_noted_while_others_write(tmp_path):
    """Threads that read, and one that writes."""
    names, rounds = [key(n) for n in range(200)], 40
    with EmbeddingCache(tmp_path, max_size=300) as cache:
        cache.put_many(names, np.stack([vector(n) for n in range(200)]))
        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(lambda: [cache.get_many([name]) for _ in range(rounds) for name in names]) for _ in range(2)]
            for n in range(rounds):
                cache.put_many([key(1000 + n)], vector(n)[None])
            for each in reading:
                each.result()
        stats = cache.get_stats()
        assert (stats.hits, stats.misses, stats.entries) == (2 * rounds * len(names), 0, 240)
        cache.get_many(names)
        cache.put_many([key(2000 + n) for n in range(100)], np.stack([vector(n) for n in range(100)]))
        assert all(found is not None for found in cache.get_many(names)), "those used last are kept"


def test_a_vector_given_twice_counts_once(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        cache.put_many([key(1), key(2), key(1)], np.stack([vector(1), vector(2), vector(3)]))
        np.testing.assert_array_equal(cache.get_many([key(1)])[0], vector(3))
        assert (cache.get_stats().entries, cache.get_stats().bytes) == (2, 2 * (4 * 8 + ENTRY_BYTES))


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


def test_a_closed_cache_and_a_folder_that_cannot_be(tmp_path):
    cache = EmbeddingCache(tmp_path / "cache")
    cache.close()
    with pytest.raises(DataError, match="was closed while it was in use; open it again"):
        cache.get("item", "model")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/cache cannot be a cache \(Not a directory\)"):
        EmbeddingCache(tmp_path / "file" / "cache")
