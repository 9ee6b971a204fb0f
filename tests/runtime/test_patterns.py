"""Patterns give what a shell would give, each path once, in a fixed order."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime import patterns
from pipeline.runtime.patterns import expand, is_pattern
from tests.runtime.test_folders import shuffle_folders

TREE = (
    "a.txt", "b.txt", "é.txt", ".hidden.txt", "[x].txt", "a/a.txt", "a/b/a.txt", "a/b/b/c.csv", "b/a/a.txt",
    ".git/a.txt", "a/.git/b.txt",
)  # fmt: skip


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in TREE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["[x].txt", "a.txt", "b.txt", "é.txt"]),
        ("?.txt", ["a.txt", "b.txt", "é.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("[!a].txt", ["b.txt", "é.txt"]),
        ("[[]x].txt", ["[x].txt"]),
        (".*.txt", [".hidden.txt"]),
        ("*/a.txt", ["a/a.txt"]),
        ("./*/a.txt", ["./a/a.txt"]),
        ("a/b/*", ["a/b/a.txt", "a/b/b"]),
        ("*/", ["a/", "b/"]),
        ("*/*/", ["a/b/", "b/a/"]),
        ("*/../a.txt", ["a/../a.txt", "b/../a.txt"]),
        ("**/a.txt", ["a.txt", "a/a.txt", "a/b/a.txt", "b/a/a.txt"]),
        ("a/**/*.txt", ["a/a.txt", "a/b/a.txt"]),
        ("**/b/**/*.*", ["a/b/a.txt", "a/b/b/c.csv", "b/a/a.txt"]),
        ("**", ["[x].txt", "a.txt", "a/a.txt", "a/b/a.txt", "a/b/b/c.csv", "b.txt", "b/a/a.txt", "é.txt"]),
        ("a/**", ["a/a.txt", "a/b/a.txt", "a/b/b/c.csv"]),
        ("a.txt/*", []),
        ("nothing/*", []),
        ("nothing*", []),
        ("a[", []),
    ],
)
def test_a_pattern_gives_what_fits(
    monkeypatch: pytest.MonkeyPatch, pattern: str, expected: list[str]
) -> None:
    for seed in range(3):
        shuffle_folders(monkeypatch, seed)
        assert list(expand(pattern)) == expected


def test_a_pattern_can_be_absolute(tree: Path) -> None:
    assert list(expand(f"{tree}/a/*.txt")) == [f"{tree}/a/a.txt"]
    assert "/dev" in expand("/d*")


PARTS = st.sampled_from(
    ["*", "?", "a", "b", "a*", "*.txt", "[ab]", "[!b]*", ".*", "**", "", ".", "..", "[", "?.???"]
)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(PARTS, min_size=1, max_size=4))
@example(parts=["**", "**", "*"])
def test_a_pattern_gives_what_the_standard_library_gives(parts: list[str]) -> None:
    pattern = "/".join(["."] * (parts[0] == "") + parts)
    if not patterns._has_wildcards(pattern) or parts[-1] == "**" or is_odd(parts):
        return
    expected = set(glob.glob(pattern, recursive=True))  # noqa: PTH207 - pathlib's patterns mean other things
    assert list(map(os.fsencode, expand(pattern))) == sorted(map(os.fsencode, expected))


def is_odd(parts: list[str]) -> bool:
    """Tell where the standard library gives ``a//b`` or ``b/`` for ``a/b``, and so has paths twice."""
    return "" in parts[:-1] or parts[-1] in ("", ".", "..")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=st.text(st.sampled_from("*?[]!-^/.ab\\\n\udcff"), min_size=1, max_size=12))
def test_every_pattern_can_be_expanded(pattern: str) -> None:
    if not pattern.startswith("/") and ".." not in pattern:
        found = [os.fsencode(path) for path in expand(pattern)]
        assert found == sorted(set(found))


def test_links_that_run_in_a_circle_end(tree: Path) -> None:
    (tree / "a" / "up").symlink_to(tree)
    (tree / "a" / "self").symlink_to("self")
    (tree / "a" / "other").symlink_to("another")
    (tree / "a" / "another").symlink_to("other")
    assert list(expand("**/a.txt")) == ["a.txt", "a/a.txt", "a/b/a.txt", "b/a/a.txt"]
    assert list(expand("a/*/*/a/a.txt")) == ["a/up/b/a/a.txt"]
    assert "a/self" in expand("a/*")
    assert "a/up" not in expand("a/**")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("*.txt", True),
        ("a?", True),
        ("[x].txt", False),
        ("[y].txt", True),
        ("a.txt", False),
        ("nothing", False),
    ],
)
def test_a_name_that_is_there_is_no_pattern(name: str, expected: bool) -> None:
    assert is_pattern(name) is expected


@pytest.mark.parametrize(("length", "expected"), [(4095, True), (4096, True), (4097, False)])
def test_what_is_longer_than_any_path_is_no_pattern(length: int, expected: bool) -> None:
    assert is_pattern("*" * length) is expected


def test_a_pattern_of_many_parts_is_refused() -> None:
    assert list(expand("*/" * 99 + "*")) == []
    with pytest.raises(UsageError, match="more than 100 parts"):
        list(expand("*/" * 100 + "*"))


def test_parts_without_wildcards_and_repeated_stars_cost_no_depth() -> None:
    assert list(expand("./" * 1_000 + "*/a.txt")) == ["./" * 1_000 + "a/a.txt"]
    assert list(expand("**/" * 1_000 + "c.csv")) == ["a/b/b/c.csv"]


def test_a_deep_tree_is_searched(tree: Path) -> None:
    deep = tree / "deep" / "/".join("d" * 200)
    deep.mkdir(parents=True)
    (deep / "x.txt").touch()
    assert len(list(expand("deep/**/x.txt"))) == 1


def test_a_folder_on_the_way_that_cannot_be_listed_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path == "a/b/":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputOutputError, match="a/b/ cannot be listed: Permission denied"):
        list(expand("**/*.txt"))
