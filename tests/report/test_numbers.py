import pytest

from likewise.report.numbers import amount, duration, shortened, size, value, words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.0123, "12 ms"),
        (0.9, "900 ms"),
        (1.25, "1.2 s"),
        (59.94, "59.9 s"),
        (61, "1 min 01 s"),
        (3725, "1 h 02 min"),
    ],
)
def test_durations(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "2 kB"),
        (999_999, "1.0 MB"),
        (1_234_567_890, "1.2 GB"),
        (310e6, "310 MB"),
        (5e15, "5000 TB"),
    ],
)
def test_sizes(count, expected):
    assert size(count) == expected


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (None, "–"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        (2e6, "2,000,000"),
        ([], "–"),
        ([1, "a"], "1, a"),
        ("x", "x"),
    ],
)
def test_values(thing, expected):
    assert value(thing) == expected


def test_texts_are_cut_after_a_word():
    assert shortened("one two\n three", 50) == "one two three"
    assert shortened("one two three", 9) == "one two …"
    assert shortened("x" * 20, 10) == "x" * 10 + " …"
    assert words("near_duplicate") == "near duplicate"


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0.98, "0.980"), (0.00019, "0.00019"), (73.46, "73.5"), (1161.6, "1,162"), (0, "0.000"), (1, "1.000")],
)
def test_amounts(number, expected):
    assert amount(number) == expected
