import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.evaluation.digits import decimals, decimals_of_change, plain, signed


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.6489, "0.649"),
        (0.012, "0.012"),
        (0.0018, "0.0018"),
        (0.000193, "0.00019"),
        (-0.0042, "−0.0042"),
        (0.0, "0.000"),
        (1.0, "1.000"),
        (math.nan, "nan"),
    ],
)
def test_small_numbers_keep_two_digits(value, told):
    assert plain(value) == told


@given(st.floats(1e-12, 1.0))
def test_no_number_is_told_more_than_a_twentieth_wrong(value):
    assert float(plain(value)) == pytest.approx(value, rel=0.051)


@given(st.floats(-1, 1), st.integers(3, 8))
def test_differences_have_their_sign(value, places):
    told = signed(value, places)
    assert told[0] in "+−±"
    assert len(told.partition(".")[2]) == places
    assert (told[0] == "±") == (float(told[1:]) == 0)


def test_changes_have_the_decimals_of_what_they_are_changes_of():
    assert decimals_of_change(0.512, 0.514, 0.002) == 3  # as ever, beside large numbers
    assert decimals_of_change(0.0002, 0.0018, 0.0016, 0.0015, 0.0017) == 4
    assert decimals_of_change(0.0002, 0.6, 0.5998) == 3
    assert decimals(0.00001, 0.002) == 4  # the largest decides
    assert decimals() == 3
