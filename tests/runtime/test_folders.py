"""Folders of reviews, in a fixed order and in bounded memory."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import InputOutputError
from pipeline.runtime.folders import has_review_files, review_files
from pipeline.runtime.reading import ReadTally


def fill(folder: Path, *names: str | bytes) -> None:
    for name in names:
        (folder / os.fsdecode(name)).touch()


def names_of(folder: Path, tally: ReadTally | None = None) -> list[str]:
    found = list(review_files(str(folder), tally or ReadTally()))
    assert all(path.startswith(f"{folder}/") for path in found)
    return [Path(path).name for path in found]


def shuffle_folders(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Let every folder be listed in another order, as another file system would."""
    scandir = os.scandir

    @contextmanager
    def shuffled(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        random.Random(seed).shuffle(entries)
        yield iter(entries)

    monkeypatch.setattr(os, "scandir", shuffled)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_the_names_as_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    fill(tmp_path, "b.txt", "a.txt", "é.txt", "B.txt", "10.txt", "9.txt", "a.txt.gz", b"\xff.txt", "🎬.txt")
    shuffle_folders(monkeypatch, seed)
    assert list(map(os.fsencode, names_of(tmp_path))) == [
        b"10.txt", b"9.txt", b"B.txt", b"a.txt", b"a.txt.gz", b"b.txt",
        "é.txt".encode(), "🎬.txt".encode(), b"\xff.txt",
    ]  # fmt: skip


def test_what_is_no_review_is_passed_over_and_counted(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "b.csv", "c", "d.txt.gz", ".txt", ".txt.gz", "e.TXT", "f.gz", ".g.txt", "h.txt~")
    (tmp_path / "inside").mkdir()
    tally = ReadTally()
    assert names_of(tmp_path, tally) == [".g.txt", "a.txt", "d.txt.gz"]
    assert tally.passed_over == 8


@pytest.mark.parametrize("given_name", [".", "./", "reviews", "reviews/", "./reviews//", "../here/reviews"])
def test_paths_begin_as_the_folder_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_name: str
) -> None:
    folder = tmp_path / "here" / "reviews"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder if given_name.strip("./") == "" else folder.parent)
    fill(folder, "a.txt")
    assert list(review_files(given_name, ReadTally())) == [str(Path(given_name) / "a.txt")]


@pytest.mark.parametrize("has_any", [True, False])
def test_a_folder_is_searched_no_further_than_its_first_review(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_any: bool
) -> None:
    fill(tmp_path, *(f"{number}.{'txt' if has_any else 'csv'}" for number in range(9)))
    scandir, seen = os.scandir, 0

    @contextmanager
    def counted(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        def entries() -> Iterator[os.DirEntry[str]]:
            nonlocal seen
            for entry in found:
                seen += 1
                yield entry

        with scandir(path) as found:
            yield entries()

    monkeypatch.setattr(os, "scandir", counted)
    assert has_review_files(str(tmp_path)) is has_any
    assert seen == (1 if has_any else 9)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputOutputError, match=f"{tmp_path} cannot be listed: Permission denied"):
        names_of(tmp_path)
    with pytest.raises(InputOutputError):
        has_review_files(str(tmp_path))
