from __future__ import annotations

from dataclasses import fields

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.data.street_view import COLUMNS, View, parse
from likewise.errors import DataError

LINE = "d 1 123 4567 89 48.8583 2.2944 35.5 0.6 -0.8 0 48.859 2.2951 37.25 81.5 215.3 4.25 0"
VALUES = LINE.split()[1:]


def with_value(place: int, value: str) -> str:
    return " ".join(["d", *VALUES[:place], value, *VALUES[place + 1 :]])


def test_a_line() -> None:
    view = parse(LINE, "a.txt")
    assert view == View(
        dataset=1,
        target=123,
        patch=4567,
        street_view=89,
        target_latitude=48.8583,
        target_longitude=2.2944,
        target_height=35.5,
        normal_x=0.6,
        normal_y=-0.8,
        normal_z=0.0,
        camera_latitude=48.859,
        camera_longitude=2.2951,
        camera_height=37.25,
        distance=81.5,
        heading=215.3,
        pitch=4.25,
        roll=0.0,
    )
    assert (view.id, view.group) == ("0001_4567", "0001_123")


def test_the_columns_are_the_fields_with_their_types() -> None:
    assert list(COLUMNS) == [field.name for field in fields(View)]
    columns = parse(LINE, "a.txt").columns()
    assert [pa.scalar(value).type for value in columns.values()] == list(COLUMNS.values())
    assert list(columns.values()) == [float(value) for value in VALUES]
    assert list(columns) == list(COLUMNS)


def test_ids_of_a_dataset_beyond_four_digits_stay_apart() -> None:
    assert parse(with_value(0, "12345"), "a.txt").group == "12345_123"
    assert parse(with_value(0, "0007"), "a.txt").id == "0007_4567"


@pytest.mark.parametrize(
    "text",
    [
        f"{LINE}\n",
        f"{LINE}\r\na 1 2 3\r\n",
        f"a 1 2 3\n\n{LINE}",
        f"depth 3\n  {LINE}  \nD 1",
        LINE.replace(" ", "\t"),
        f"\n{LINE}\nnan inf d",
    ],
)
def test_other_lines_are_not_read(text: str) -> None:
    assert parse(text, "a.txt") == parse(LINE, "a.txt")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", 'no line that begins with "d"'),
        ("a 1 2 3", 'no line that begins with "d"'),
        (f"{LINE}\n{LINE}", '2 lines that begin with "d"'),
        ("d", "0 values"),
        (LINE.rpartition(" ")[0], "16 values"),
        (f"{LINE} 1", "18 values"),
        (with_value(0, "-1"), '"-1" as dataset id, not a whole number'),
        (with_value(1, "1.0"), '"1.0" as target id, not a whole number'),
        (with_value(2, "1_0"), '"1_0" as patch id, not a whole number'),
        (with_value(2, "٣"), '"٣" as patch id, not a whole number'),
        (with_value(3, "9" * 5000), "as street view id, not a whole number"),
        (with_value(4, "90.001"), '"90.001" as target latitude, which goes from -90 to 90'),
        (with_value(5, "-180.5"), '"-180.5" as target longitude, which goes from -180 to 180'),
        (with_value(10, "-91"), '"-91" as camera latitude'),
        (with_value(11, "360"), '"360" as camera longitude'),
        (with_value(6, "nan"), '"nan" as target height, not a finite number'),
        (with_value(12, "inf"), '"inf" as camera height, not a finite number'),
        (with_value(13, "1e999"), '"1e999" as distance, not a finite number'),
        (with_value(14, "1,5"), '"1,5" as heading, not a finite number'),
        (with_value(15, "1_0"), '"1_0" as pitch, not a finite number'),
        (with_value(12, "1" * 500_000 + "x"), "as camera height, not a finite number"),  # told in linear time
        (with_value(16, "x"), '"x" as roll, not a finite number'),
        (with_value(7, "0"), "surface normal 0 -0.8 0 of length 0.8, not 1"),
        (with_value(9, "1e308"), "of length 1e+308, not 1"),
    ],
)
def test_a_bad_line_is_named_with_value_and_remedy(text: str, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(text, "b/0001_4567.txt")
    message = str(caught.value)
    assert reason in message
    assert message.startswith("b/0001_4567.txt has ")
    assert "; " in message
    assert message.endswith(".")
    assert len(message) < 250


@given(st.text())
def test_any_text_is_a_view_or_an_error(text: str) -> None:
    for each in (text, f"d {text}", LINE + text):
        try:
            assert isinstance(parse(each, "a.txt"), View)
        except DataError:
            continue


angles = st.floats(-90, 90)


@given(st.lists(st.integers(0, 10**17), min_size=4, max_size=4), st.lists(angles, min_size=10, max_size=10))
def test_numbers_are_read_to_their_last_bit(ids: list[int], numbers: list[float]) -> None:
    values = [*ids, *numbers[:3], 0.0, 0.0, -1.0, *numbers[3:]]
    view = parse(" ".join(["d", *map(repr, values)]), "a.txt")
    assert list(view.columns().values()) == values
