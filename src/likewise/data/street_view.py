"""The annotation of a picture in the street-view data set: one line, `d` and 17 values.

Each picture shows one target point in its middle; pictures of one target show the same physical point. Ids are unique within a
dataset only, which is a rectangle on the map. Source: Zamir, Wekel, Agrawal, Wei, Malik, Savarese 2016, "Generic 3D
representation via pose estimation and matching"; https://github.com/amir32002/3D_Street_View.
"""

from __future__ import annotations

import math
import re
from dataclasses import astuple, dataclass, fields
from typing import Any

import pyarrow as pa

from likewise.errors import DataError

MARK = "d"  # other lines, such as "a" for the alignment, are not read
UNIT_TOLERANCE = 0.01  # of a normal's length: room for values written with two decimals
SHOWN = 40  # characters of a value in messages
REMEDY = "mend the line, or leave the picture out"
WHOLE = re.compile(r"[0-9]{1,18}")  # fits into 64 bits
DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
RANGES = {
    "target_latitude": (-90.0, 90.0),
    "target_longitude": (-180.0, 180.0),
    "camera_latitude": (-90.0, 90.0),
    "camera_longitude": (-180.0, 180.0),
}


@dataclass(frozen=True, slots=True)
class View:
    """An annotation, in the line's order: four ids, then numbers.

    Latitudes and longitudes are in degrees; heights and `distance` (from camera to target) in metres; the normal of the facade at
    the target has length 1; `heading` (0 north, 180 south), `pitch` (-90 down, 90 up) and `roll` of the camera in degrees.
    """

    dataset: int
    target: int
    patch: int
    street_view: int
    target_latitude: float
    target_longitude: float
    target_height: float
    normal_x: float
    normal_y: float
    normal_z: float
    camera_latitude: float
    camera_longitude: float
    camera_height: float
    distance: float
    heading: float
    pitch: float
    roll: float

    @property
    def id(self) -> str:
        """What names the picture: dataset and patch."""
        return joined_id(self.dataset, self.patch)

    @property
    def group(self) -> str:
        """What pictures of one target share: dataset and target."""
        return joined_id(self.dataset, self.target)

    def columns(self) -> dict[str, int | float]:
        """The metadata columns, those of `COLUMNS`."""
        return dict(zip(COLUMNS, astuple(self), strict=True))


_IDS = ("dataset", "target", "patch", "street_view")
COLUMNS: dict[str, Any] = {field.name: pa.int64() if field.name in _IDS else pa.float64() for field in fields(View)}


def joined_id(dataset: int, number: int) -> str:
    """A target's or a patch's id across datasets, as in `0001_123`: the dataset in four digits, the other number as it is."""
    return f"{dataset:04d}_{number}"


def parse(text: str, name: str) -> View:
    """The view that a picture's annotation tells; `name` is the file's, for messages.

    DataError unless there is exactly one line of `d` and 17 values: ids without sign, finite numbers, latitudes and longitudes in
    their ranges, a normal of length 1.
    """
    lines = [words for line in text.splitlines() if (words := line.split()) and words[0] == MARK]
    if len(lines) != 1:
        found = f"{len(lines)} lines that begin" if lines else "no line that begins"
        raise DataError(f'{name} has {found} with "{MARK}"; write one: "{MARK}" and {len(COLUMNS)} values.')
    words = lines[0][1:]
    if len(words) != len(COLUMNS):
        raise DataError(f'{name} has {len(words)} values after "{MARK}", not {len(COLUMNS)}; {REMEDY}.')
    told = dict(zip(COLUMNS, words, strict=True))
    values: dict[str, Any] = {
        column: (_whole if column in _IDS else _decimal)(word, column, name) for column, word in told.items()
    }
    view = View(**values)
    length = math.hypot(view.normal_x, view.normal_y, view.normal_z)
    if abs(length - 1) > UNIT_TOLERANCE:
        normal = " ".join(_shown(told[column]) for column in ("normal_x", "normal_y", "normal_z"))
        raise DataError(f"{name} has the surface normal {normal} of length {length:.3g}, not 1; {REMEDY}.")
    return view


def _whole(word: str, column: str, name: str) -> int:
    if WHOLE.fullmatch(word) is None:
        raise DataError(f'{name} has "{_shown(word)}" as {_spoken(column)}, not a whole number from 0 on; {REMEDY}.')
    return int(word)


def _decimal(word: str, column: str, name: str) -> float:
    value = float(word) if DECIMAL.fullmatch(word) else math.nan
    if not math.isfinite(value):
        raise DataError(f'{name} has "{_shown(word)}" as {_spoken(column)}, not a finite number; {REMEDY}.')
    lowest, highest = RANGES.get(column, (-math.inf, math.inf))
    if not lowest <= value <= highest:
        raise DataError(
            f'{name} has "{_shown(word)}" as {_spoken(column)}, which goes from {lowest:g} to {highest:g} degrees; {REMEDY}.'
        )
    return value


def _spoken(column: str) -> str:
    """A column as sentences name it."""
    words = column.replace("_", " ")
    return f"{words} id" if column in _IDS else words


def _shown(word: str) -> str:
    text = "".join(each if each.isprintable() else "?" for each in word[: SHOWN + 1])
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
