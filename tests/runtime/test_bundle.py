"""A bundle is byte for byte what was published, or it is refused."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import BundleError
from pipeline.runtime.bundle import (
    CARD,
    GOLDEN,
    MANIFEST,
    MODEL,
    FileRecord,
    Manifest,
    open_bundle,
    read_manifest,
)
from tests.stand_ins import make_bundle, make_model


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    make_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def reseal(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest as a forger would: with a digest that holds."""
    record = json.loads((bundle / MANIFEST).read_bytes())
    change(record)
    files = record.pop("files")
    try:
        kept: Mapping[str, FileRecord] = {name: FileRecord(**entry) for name, entry in files.items()}
        content = Manifest(**record, files=kept).sealed().to_bytes()
    except (TypeError, AttributeError):
        content = json.dumps({**record, "files": files}, indent=2, sort_keys=True).encode() + b"\n"
    (bundle / MANIFEST).write_bytes(content)


def test_a_whole_bundle_is_read(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert set(opened.files) == {MODEL, GOLDEN, CARD}
    assert opened.model == make_model()
    assert opened.manifest == read_manifest(bundle)


def test_equal_work_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_bundle(tmp_path / name)
    for name in (MODEL, GOLDEN, CARD, MANIFEST):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_resealed_manifest_that_changes_nothing_is_read(bundle: Path) -> None:
    reseal(bundle, lambda record: record)
    assert open_bundle(bundle).manifest is not None


def test_a_graph_alone_is_read_without_a_manifest(bundle: Path) -> None:
    opened = open_bundle(bundle / MODEL)
    assert (set(opened.files), opened.manifest) == ({MODEL}, None)


def test_any_flipped_bit_is_refused(bundle: Path) -> None:
    source = random.Random(20)
    contents = {path: path.read_bytes() for path in sorted(bundle.iterdir())}
    places = [(path, place) for path, content in contents.items() for place in range(len(content))]
    for path, place in source.sample(places, 200):
        changed = bytearray(contents[path])
        changed[place] ^= 1 << source.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(BundleError):
            open_bundle(bundle)
        path.write_bytes(contents[path])
    open_bundle(bundle)


@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD, MANIFEST])
@pytest.mark.parametrize("change", ["cut", "longer", "empty"])
def test_a_file_of_another_length_is_refused(bundle: Path, name: str, change: str) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes({"cut": content[:-1], "longer": content + b"\n", "empty": b""}[change])
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)


@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD, MANIFEST])
def test_a_missing_file_is_refused_by_name(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["extra", ".hidden", "model.onnx.data", "a\nb", "caf\udce9"], ids=ascii)
def test_an_extra_file_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"")
    with pytest.raises(BundleError, match="missing files: none; extra files: ") as refusal:
        open_bundle(bundle)
    str(refusal.value).encode()


def test_an_extra_folder_is_refused(bundle: Path) -> None:
    (bundle / "folder").mkdir()
    with pytest.raises(BundleError, match="folder"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD, MANIFEST])
def test_a_link_is_refused_even_to_the_same_bytes(bundle: Path, tmp_path: Path, name: str) -> None:
    shutil.move(bundle / name, tmp_path / name)
    (bundle / name).symlink_to(tmp_path / name)
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)


@pytest.mark.parametrize("name", [MODEL, GOLDEN])
def test_a_folder_or_fifo_in_the_place_of_a_file_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)
    (bundle / name).unlink()
    (bundle / name).mkdir()
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)


@pytest.mark.parametrize("version", [0, 1, 3, "2", None, 2.5, []], ids=repr)
def test_an_unknown_format_version_is_refused(bundle: Path, version: object) -> None:
    reseal(bundle, lambda record: record.update(format_version=version))
    with pytest.raises(BundleError, match="format version"):
        open_bundle(bundle)


def test_an_unknown_key_is_refused_by_name(bundle: Path) -> None:
    reseal(bundle, lambda record: record.update(surprise=1))
    with pytest.raises(BundleError, match="surprise"):
        open_bundle(bundle)


@pytest.mark.parametrize("key", ["files", "digest", "metrics", "format_version"])
def test_a_missing_key_is_refused(bundle: Path, key: str) -> None:
    record = json.loads((bundle / MANIFEST).read_bytes())
    del record[key]
    (bundle / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(BundleError):
        open_bundle(bundle)


@pytest.mark.parametrize("outside", ["../outside", "folder/file", "/etc/hostname", "..", ".", ""], ids=repr)
def test_a_path_out_of_the_folder_is_refused(bundle: Path, outside: str) -> None:
    (bundle.parent / "outside").write_bytes(b"x")
    record = FileRecord("0" * 64, 1)
    manifest = read_manifest(bundle)
    forged = replace(manifest, files={**manifest.files, outside: record}).sealed()
    (bundle / MANIFEST).write_bytes(forged.to_bytes())
    with pytest.raises(BundleError):
        open_bundle(bundle)


def test_a_manifest_that_lists_no_graph_is_refused(bundle: Path) -> None:
    reseal(bundle, lambda record: record["files"].pop(MODEL))
    (bundle / MODEL).unlink()
    with pytest.raises(BundleError, match=MODEL):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "entry",
    [
        {"sha256": "0" * 64},
        {"sha256": "0" * 64, "size": 1, "more": 1},
        7,
        None,
        "0" * 64,
        {"sha256": "0" * 64, "size": "1"},
        {"sha256": "0" * 64, "size": None},
        {"sha256": "0" * 64, "size": 1.5},
        {"sha256": 7, "size": len(b"# stand-in\n")},
        {"sha256": None, "size": len(b"# stand-in\n")},
    ],
    ids=[
        "no size",
        "one more key",
        "number",
        "null",
        "text",
        "size is text",
        "size is null",
        "size is a fraction",
        "digest is a number",
        "digest is null",
    ],
)
def test_a_file_that_is_described_wrongly_is_refused(bundle: Path, entry: object) -> None:
    reseal(bundle, lambda record: record["files"].update({CARD: entry}))
    with pytest.raises(BundleError):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"null",
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format_version": ' + b"9" * 5_000 + b"}",
        b" " * ((1 << 20) + 1),
    ],
    ids=["empty", "object", "list", "number", "null", "words", "no text", "deep", "absurd", "large"],
)
def test_what_is_no_manifest_is_refused(bundle: Path, content: bytes) -> None:
    (bundle / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError):
        open_bundle(bundle)


def test_a_manifest_with_half_of_a_surrogate_pair_is_refused(bundle: Path) -> None:
    text = (bundle / MANIFEST).read_text()
    (bundle / MANIFEST).write_text(text.replace('"name": "stand-in"', r'"name": "\ud800"'))
    with pytest.raises(BundleError):
        open_bundle(bundle)


def test_another_way_to_write_the_same_manifest_is_refused(bundle: Path) -> None:
    record = json.loads((bundle / MANIFEST).read_bytes())
    (bundle / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(BundleError, match="changed after it was published"):
        open_bundle(bundle)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        open_bundle(tmp_path)


def test_a_message_escapes_the_name_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as refusal:
        open_bundle(tmp_path / "\x1b[2J")
    assert "\x1b" not in str(refusal.value)
