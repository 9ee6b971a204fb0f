from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pipeline.corpora.aclimdb import read_aclimdb
from pipeline.errors import DataError

FILES = {
    "train/pos/10_9.txt": "A tenth.",
    "train/pos/2_8.txt": "Good.<br />Very.",
    "train/neg/1_1.txt": "Bad\u0085really.",
    "train/unsup/10_0.txt": "A tenth that nobody judged.",
    "train/unsup/9_0.txt": "Unlabelled.",
    "test/unsup/1_0.txt": "Not of the dataset.",
    "test/pos/0_10.txt": "Fine.",
    "test/neg/3_2.txt": "Not fine.",
    "test/urls_pos.txt": "http",
    "README": "read me",
}


def write_archive(path: Path, files: dict[str, str], *, top: str = "aclImdb/") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            content = text.encode("utf-8", "surrogateescape")
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo(top + "train/pos/99_9.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def test_the_labelled_reviews_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    corpus = read_aclimdb(write_archive(tmp_path / "a.tar.gz", FILES))
    assert [(review.text, review.label) for review in corpus.train] == [
        ("Bad\u0085really.", 0),
        ("Good.<br />Very.", 1),
        ("A tenth.", 1),
    ]
    assert [review.label for review in corpus.test] == [0, 1]
    assert corpus.unlabelled == []


def test_the_unlabelled_reviews_come_where_they_are_asked_for(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar.gz", FILES)
    asked = read_aclimdb(path, with_unlabelled=True)
    assert asked.unlabelled == ["Unlabelled.", "A tenth that nobody judged."]
    assert (asked.train, asked.test) == (read_aclimdb(path).train, read_aclimdb(path).test)


def test_an_unlabelled_review_harms_only_those_who_ask_for_it(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar.gz", FILES | {"train/unsup/5_0.txt": "\udcff"})
    assert len(read_aclimdb(path).train) == 3
    with pytest.raises(DataError, match="unsup/5_0.txt is not UTF-8 at byte 0"):
        read_aclimdb(path, with_unlabelled=True)


def test_the_unpacked_folder_gives_what_the_archive_gives(tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / "aclImdb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="")
    archive = write_archive(tmp_path / "a.tar.gz", FILES)
    for asked in (False, True):
        from_archive = read_aclimdb(archive, with_unlabelled=asked)
        assert read_aclimdb(tmp_path / "aclImdb", with_unlabelled=asked) == from_archive


def test_nothing_is_written_anywhere_whatever_the_names(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    write_archive(inside / "a.tar.gz", FILES, top="../../")
    before = set(tmp_path.rglob("*"))
    read_aclimdb(inside / "a.tar.gz")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train/pos/1_9.txt": "x"}, "holds no test/pos"),
        (FILES | {"test/pos/5_9.txt": "\udcff"}, "5_9.txt is not UTF-8 at byte 0"),
        (FILES | {"test/pos/5_9.txt": "x" * ((1 << 20) + 1)}, "5_9.txt is larger than"),
    ],
    ids=["no test", "not UTF-8", "too large"],
)
def test_what_is_not_the_dataset_is_refused(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_aclimdb(write_archive(tmp_path / "a.tar.gz", files))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_an_archive_cut_short_is_refused(keep: float, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar.gz", FILES)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError):
        read_aclimdb(path)
