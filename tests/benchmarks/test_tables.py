from __future__ import annotations

import pytest

from benchmarks.pairing import Spread
from benchmarks.tables import Table, number_text, spread_text


def test_a_table_is_markdown_with_its_notes() -> None:
    table = Table(
        "Speed", ["what", "reviews/s"], [["ours", "1,234"], ["echo … | resenha", "2"]], ["two cores"]
    )
    assert table.to_markdown(warning="SYNTHETIC REVIEWS: ") == (
        "### SYNTHETIC REVIEWS: Speed\n"
        "\n"
        "| what | reviews/s |\n"
        "| --- | ---: |\n"
        "| ours | 1,234 |\n"
        "| echo … \\| resenha | 2 |\n"
        "\n"
        "- two cores\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (9.994, "9.99"), (12.34, "12.3"), (99.94, "99.9"), (100, "100"), (12345.6, "12,346")],
)
def test_numbers_have_the_digits_that_a_measurement_deserves(value: float, text: str) -> None:
    assert number_text(value) == text


def test_a_spread_shows_median_and_extremes() -> None:
    assert spread_text(Spread(2.5, 1, 1000), "×") == "2.50× (1.00 to 1,000)"
