"""Summaries are read whole and checked, or refused in one line; those of one bundle add up."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime.summary_reading import SUMMARY, merge_works, read_works
from tests.runtime.scored_reviews import DIGEST, counted, summary, write


def test_a_summary_is_read(tmp_path: Path) -> None:
    [work] = read_works([write(tmp_path / "one.json", summary())])
    assert (work.digest, work.bundle_name, work.rows_in, work.scored) == (DIGEST, "stand-in", 11, 10)
    assert work.histograms == counted(10)
    assert work.reference == counted(1_000)


def test_a_folder_stands_for_its_summary_and_a_mark_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / SUMMARY).write_text(json.dumps(summary(reference=None)), "utf-8-sig")
    [work] = read_works([str(tmp_path)])
    assert work.name == str(tmp_path / SUMMARY)
    assert work.reference is None


def test_counts_of_many_machines_add_up(tmp_path: Path) -> None:
    records = [summary(3, reference=None), summary(4, rejected=0), summary(0), summary(5, reference=None)]
    works = read_works([write(tmp_path / f"{place}.json", each) for place, each in enumerate(records)])
    for order in (works, works[::-1]):
        merged = merge_works(order)
        assert (merged.rows_in, merged.scored) == (15, 12)
        assert merged.histograms == counted(12)
        assert merged.reference == counted(1_000)
    assert works[0].histograms == counted(3)


def test_summaries_of_two_bundles_are_refused_by_name(tmp_path: Path) -> None:
    other = {"digest": "cd" * 32, "name": "newer"}
    names = [write(tmp_path / "a", summary()), write(tmp_path / "b", summary(bundle=other))]
    with pytest.raises(
        UsageError, match="a was scored with .*stand-in abababababab, .*b with newer cdcdcdcdcdcd"
    ):
        merge_works(read_works(names))


def test_two_references_of_one_bundle_are_refused(tmp_path: Path) -> None:
    forged = summary(reference=counted(999).to_record())
    with pytest.raises(UsageError, match="another reference"):
        merge_works(read_works([write(tmp_path / "a", summary()), write(tmp_path / "b", forged)]))


@pytest.mark.parametrize("again", ["same", "other way", "folder", "link"])
def test_a_summary_named_twice_is_not_counted_twice(tmp_path: Path, again: str) -> None:
    name = write(tmp_path / SUMMARY, summary())
    (tmp_path / "link").symlink_to(name)
    second = {
        "same": name,
        "other way": f"{tmp_path}/./{SUMMARY}",
        "folder": str(tmp_path),
        "link": str(tmp_path / "link"),
    }[again]
    with pytest.raises(UsageError, match="named twice"):
        read_works([name, second])


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    for name in ("none.json", "none/none.json"):
        with pytest.raises(UsageError, match="is not there"):
            read_works([str(tmp_path / name)])
    with pytest.raises(UsageError, match=f"{SUMMARY} is not there"):
        read_works([str(tmp_path)])
    with pytest.raises(UsageError, match="is not there"):
        read_works([write(tmp_path / "file", summary()) + "/below"])


def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="pipe it to standard input"):
        read_works([str(tmp_path / "fifo")])


def test_a_loop_of_links_is_a_failed_input(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputOutputError, match="loop"):
        read_works([str(tmp_path / "loop")])


@pytest.mark.parametrize("more", [0, 1], ids=["just within", "beyond"])
def test_no_more_is_read_than_a_summary_has(tmp_path: Path, more: int) -> None:
    text = json.dumps(summary())
    (tmp_path / "large").write_text(text + " " * ((16 << 20) + more - len(text)))
    if more:
        with pytest.raises(UsageError, match="more than 16,777,216 bytes"):
            read_works([str(tmp_path / "large")])
    else:
        assert read_works([str(tmp_path / "large")])[0].scored == 10


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("summary_version"),
        lambda record: record.update(summary_version=2),
        lambda record: record.update(summary_version="1" * 1_000),
        lambda record: record.pop("bundle"),
        lambda record: record.update(bundle=None),
        lambda record: record["bundle"].pop("digest"),
        lambda record: record["bundle"].update(digest=None),
        lambda record: record["bundle"].update(digest=""),
        lambda record: record["bundle"].update(name=7),
        lambda record: record["bundle"].update(name="n" * 257),
        lambda record: record.pop("histograms"),
        lambda record: record.update(histograms=None),
        lambda record: record["histograms"]["tokens"]["counts"].pop(),
        lambda record: record.pop("reference"),
        lambda record: record.update(reference={}),
        lambda record: record.update(scored=9),
        lambda record: record.update(scored=10.0),
        lambda record: record.update(rows_in=9),
        lambda record: record.update(rows_in=True),
        lambda record: record.update(rows_in=10**4_000),
    ],
    ids=[
        "no version", "another version", "long version", "no bundle", "null bundle", "no digest",
        "null digest", "empty digest", "name is a number", "long name", "no histograms",
        "null histograms", "one bin less", "no reference", "reference of nothing", "other number scored",
        "fraction", "fewer read than scored", "true", "absurd",
    ],
)  # fmt: skip
def test_another_record_is_refused_in_one_short_line(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    record = summary()
    change(record)
    with pytest.raises(UsageError, match="is not the summary of a scoring run: ") as refusal:
        read_works([write(tmp_path / "odd.json", record)])
    assert len(str(refusal.value)) < len(str(tmp_path)) + 200


def test_names_from_outside_are_shown_escaped(tmp_path: Path) -> None:
    odd = {"digest": "\x1b[2J", "name": "a\nb\ud800"}
    [work] = read_works([write(tmp_path / "odd\n.json", summary(bundle=odd))])
    shown = (work.name, work.digest, work.bundle_name)
    assert all(text.isprintable() for text in shown)
    "".join(shown).encode()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200)
    | st.sampled_from([b"[" * 100_000, b"{}", b"[]", b"null", b"7", b'"text"', b"9" * 5_000, b"NaN"])
    | st.tuples(st.integers(0, 500), st.integers(0, 255)).map(
        lambda flip: bytes(
            value ^ (flip[1] if place == flip[0] else 0)
            for place, value in enumerate(json.dumps(summary()).encode())
        )
    )
)
def test_no_bytes_break_the_reading(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.json"
    path.write_bytes(content)
    try:
        works = read_works([str(path)])
    except UsageError as refusal:
        assert str(path) in str(refusal)  # noqa: PT017
        return
    assert works[0].histograms.total == works[0].scored
