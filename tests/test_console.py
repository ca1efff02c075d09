import io
import json
import time

import pytest

from likewise.console import Live, Pace, Plain, duration, reporter


def test_durations_as_people_read_them() -> None:
    assert [duration(seconds) for seconds in (0.04, 59.94, 61, 3599.6, 7260)] == [
        "0.0 s",
        "59.9 s",
        "1 min 01 s",
        "1 h 00 min",
        "2 h 01 min",
    ]


def test_the_pace_counts_from_where_the_work_went_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 100.0, 100.0, 110.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    pace = Pace()
    assert pace.words(900, 1000) == "", "900 were there already"
    assert pace.words(920, 1000) == "2/s, 40.0 s left"


def test_json_lines() -> None:
    stream = io.StringIO()
    heard = reporter(as_json=True, stream=stream)
    heard.started("mine")
    heard.progress("mine", 1, 2, "queries")
    heard.said("mine", "ünïcode")
    heard.finished("mine", 1.0, False)
    heard.absent("train", "not in the recipe")
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["started", "progress", "said", "finished", "absent"]


def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    heard = reporter(stream=stream)
    assert type(heard) is Plain
    heard.started("mine")
    heard.finished("mine", 61, False)
    heard.finished("train", 0, True)
    assert "1 min 01 s" in stream.getvalue()
    assert "nothing changed" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_live_line_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    heard = reporter(stream=stream)
    assert isinstance(heard, Live)
    heard.started("mine")
    heard.progress("mine", 1, 2, "queries [not markup]")
    heard.said("mine", "a [b] sentence")
    heard.progress("mine", 2, 2, "what closes nothing [/b]")
    heard.finished("mine", 1.0, False)
    heard.absent("train", "no [train] [/b]")
    heard.close()
    assert "a [b] sentence" in stream.getvalue()
    assert "no [train] [/b]" in stream.getvalue()
