"""Numbers as they are written in text, tables and figures."""

import math

import pytest

from glyphline.evaluation import numbers

MINUS = "\N{MINUS SIGN}"


def test_a_percentage_has_as_many_decimals_as_the_images_support() -> None:
    assert [numbers.percent(0.97604, numbers.decimals(n)) for n in (1000, 10_000)] == ["97.6 %", "97.60 %"]
    assert numbers.percent_interval(0.9, 0.98, 1) == "90.0 to 98.0 %"


@pytest.mark.parametrize(("fraction", "text"), [(0.92, "92 %"), (0.9501, "95.01 %"), (0.949999, "94.9999 %")])
def test_an_exact_percentage_has_all_its_digits(fraction: float, text: str) -> None:
    assert numbers.exact_percent(fraction) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0123, "+1.23"), (-0.0123, f"{MINUS}1.23"), (0.0, "0.00"), (-0.00001, "0.00"), (1, "+100.00")],
)
def test_a_difference_has_a_sign_unless_it_is_nothing(difference: float, text: str) -> None:
    assert numbers.points(difference) == text


def test_the_ends_of_an_interval_have_their_own_signs() -> None:
    assert numbers.points_interval(-0.01, 0.02) == f"{MINUS}1.00 to +2.00"


def test_a_count_or_a_distance_has_a_sign() -> None:
    assert [numbers.signed(number) for number in (3, -1200, 0)] == ["+3", f"{MINUS}1,200", "0"]
    assert [numbers.signed(value, 3) for value in (0.05, math.nan)] == ["+0.050", "nan"]


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.00001, "< 0.0001"), (0.000451, "0.0005"), (0.0321, "0.032"), (0.5, "0.50"), (1.0, "1.00")],
)
def test_a_p_value_has_the_digits_that_matter(p: float, text: str) -> None:
    assert numbers.p_value(p) == text


@pytest.mark.parametrize(
    ("count", "text"), [(7, "7"), (999, "999"), (34_826, "34.8 k"), (999_900, "1 M"), (1_199_882, "1.2 M")]
)
def test_a_large_count_is_shortened_to_three_digits(count: float, text: str) -> None:
    assert numbers.short(count) == text
