"""A file that is named twice is refused, however it was named."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.runtime import naming
from pipeline.runtime.naming import Named, refuse_twins
from pipeline.runtime.spilled_sort import sorted_bytes


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.txt",
        "b.txt",
        "a.csv",
        "f/a.txt",
        "f/a.csv",
        "f/b.txt.gz",
        "f/g/a.txt",
        "f-/a.txt",
        "f.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.txt").symlink_to("a.txt")
    (tmp_path / "f" / "link.txt").symlink_to("../a.txt")
    (tmp_path / "to_f").symlink_to("f")
    (tmp_path / "circle.txt").symlink_to("circle.txt")
    return tmp_path


@pytest.mark.parametrize(
    "names",
    [
        ["a.txt", "a.txt"],
        ["a.txt", "b.txt", "./a.txt"],
        ["a.txt", "f/../a.txt"],
        ["a.txt", "link.txt"],
        ["link.txt", "f/link.txt"],
        ["f", "f"],
        ["f", "f/"],
        ["f", "to_f"],
        [".", "a.txt"],
        ["f", "f/a.txt"],
        ["f/a.txt", "f"],
        ["f", "f/b.txt.gz"],
        ["f", "to_f/a.txt"],
        ["f", "f/link.txt"],
        ["f", "f/g", "f/a.txt"],
        ["f", "f/a.csv", "f/g/a.txt", "f-", "f.txt", "a.txt", "f/a.txt"],
        ["-", "-"],
        ["circle.txt", "circle.txt"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("tree")
def test_what_would_be_scored_twice_is_refused(names: list[str]) -> None:
    with pytest.raises(UsageError, match="named twice.*its rows would be scored twice"):
        refuse_twins(map(Named, names))
    with pytest.raises(UsageError, match="named twice"):
        refuse_twins(map(Named, reversed(names)))


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a.txt", "b.txt", "a.csv"],
        ["f", "f/a.csv", "f/g", "f-", "f-/../f.txt", "a.txt"],
        ["f/g/a.txt", "f"],
        [".", "f", "f/a.csv", "-"],
        ["-", "a.txt"],
        ["link.txt", "b.txt"],
        ["circle.txt", "a.txt"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("tree")
def test_what_is_scored_once_is_accepted(names: list[str]) -> None:
    refuse_twins(map(Named, names))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([Named("a.txt"), Named("./a.txt")], "./a.txt is named twice, first as a.txt: its"),
        (
            [Named("a.txt", pattern="*.txt"), Named("a.txt", line=1_000, listed_in="list")],
            "a.txt (line 1,000 of list) is named twice, first as a.txt (fits *.txt): its",
        ),
        (
            [Named("f/a.txt", "f/*", 2, "list"), Named("f", line=7, listed_in="list")],
            "f/a.txt (fits f/*, line 2 of list) is named twice, also by its folder f (line 7 of list): its",
        ),
    ],
    ids=["names", "pattern and list", "folder"],
)
@pytest.mark.usefixtures("tree")
def test_the_message_says_where_it_was_named(inputs: list[Named], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        refuse_twins(inputs)
    assert str(refusal.value).startswith(message)


def test_a_name_in_a_message_is_safe_to_print_and_not_endless() -> None:
    assert str(Named("a\n\udcff")) == "a\\u000a\\udcff"
    assert str(Named("x" * 300)) == "x" * 300
    assert str(Named("x" * 301)) == "x" * 300 + "…"


@settings(deadline=None)
@given(
    name=st.binary(min_size=1, max_size=8).filter(
        lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
    ),
    others=st.lists(st.binary(min_size=1, max_size=8).filter(lambda name: 0 not in name)),
)
def test_a_name_of_any_bytes_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, name: bytes, others: list[bytes]
) -> None:
    folder = os.fsencode(tmp_path_factory.getbasetemp())
    path = os.fsdecode(folder + b"/" + name)
    inputs = [path, *{os.fsdecode(b"/nowhere/" + other) for other in others}, path]
    with pytest.raises(UsageError) as refusal:
        refuse_twins(map(Named, inputs))
    assert str(refusal.value).startswith(f"{Named(path)} is named twice, first as {Named(path)}")


def test_memory_does_not_grow_with_the_number_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "sorted_bytes", lambda names: sorted_bytes(names, in_memory=100_000))

    def peak_bytes(count: int) -> int:
        names = (Named(f"{tmp_path}/{number % 50}/{number}.txt") for number in range(count))
        tracemalloc.start()
        try:
            refuse_twins(names)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(10)
    assert peak_bytes(20_000) < peak_bytes(2_000) + 2 * 16 * 12_288
