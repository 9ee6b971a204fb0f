"""A bundle is byte for byte what was published, or it is refused."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
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
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import run_self_test
from tests.runtime.altered_models import altered
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


def flip(content: bytearray, source: random.Random) -> None:
    content[source.randrange(len(content))] ^= source.randrange(1, 256)


def cut(content: bytearray, source: random.Random) -> None:
    first = source.randrange(len(content))
    del content[first : source.choice([len(content), first + source.randrange(1, 9)])]


def insert(content: bytearray, source: random.Random) -> None:
    place = source.randrange(len(content) + 1)
    content[place:place] = source.randbytes(source.randrange(1, 9))


def load(path: Path) -> None:
    """Everything that stands between a bundle and its first score."""
    bundle = open_bundle(path)
    run_self_test(bundle, Scorer(bundle))


@pytest.mark.parametrize(("change", "times"), [(flip, 1000), (cut, 200), (insert, 200)])
def test_any_changed_byte_is_refused(
    bundle: Path, tmp_path: Path, change: Callable[[bytearray, random.Random], None], times: int
) -> None:
    source = random.Random(20)
    names = [MODEL, GOLDEN, CARD, MANIFEST]
    for number in range(times):
        copy = tmp_path / "copy"
        shutil.copytree(bundle, copy)
        name = names[number % 4]
        content = bytearray((copy / name).read_bytes())
        change(content, source)
        (copy / name).write_bytes(content)
        with pytest.raises(BundleError, match=rf"^{re.escape(str(copy))}.*{name}"):
            load(copy)
        shutil.rmtree(copy)
    load(bundle)


def test_bytes_of_a_manifest_that_were_changed_and_sealed_again_give_no_traceback(bundle: Path) -> None:
    source, whole = random.Random(21), (bundle / MANIFEST).read_bytes()
    for _ in range(500):
        content = bytearray(whole)
        source.choice([flip, cut, insert])(content, source)
        with suppress(ValueError, AttributeError):
            record = json.loads(content)
            sealed = json.dumps({**record, "digest": ""}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
            record["digest"] = hashlib.sha256(sealed.encode()).hexdigest()
            content[:] = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        (bundle / MANIFEST).write_bytes(content)
        with suppress(BundleError):
            load(bundle)


@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD, MANIFEST])
@pytest.mark.parametrize("change", ["cut", "longer", "empty"])
def test_a_file_of_another_length_is_refused(bundle: Path, name: str, change: str) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes({"cut": content[:-1], "longer": content + b"\n", "empty": b""}[change])
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)


@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD])
def test_a_file_of_another_length_is_refused_with_both(bundle: Path, name: str) -> None:
    size = (bundle / name).stat().st_size
    os.truncate(bundle / name, size + 1)
    with pytest.raises(BundleError, match=f"{name} has {size + 1:,} bytes, {size:,} were published"):
        open_bundle(bundle)


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_manifest_may_have_a_megabyte(bundle: Path, size: int) -> None:
    reseal(bundle, lambda record: record["recipe"].update(more=""))
    missing = size - (bundle / MANIFEST).stat().st_size
    reseal(bundle, lambda record: record["recipe"].update(more="x" * missing))
    assert (bundle / MANIFEST).stat().st_size == size
    if size <= 1 << 20:
        open_bundle(bundle)
    else:
        with pytest.raises(BundleError, match=f"{MANIFEST} cannot be read: it has 1,048,577 bytes, at most"):
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


@pytest.mark.parametrize(("more", "is_listed"), [(16, True), (17, False), (2000, False)])
def test_a_folder_of_many_entries_is_not_looked_through(bundle: Path, more: int, is_listed: bool) -> None:
    for number in range(more):
        (bundle / f"extra{number}").touch()
    (bundle / CARD).unlink()
    missing = CARD if is_listed else "not looked for"
    with pytest.raises(BundleError, match=f"missing files: {missing}; extra files: ") as refusal:
        open_bundle(bundle)
    assert len(str(refusal.value)) < 1000


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


@pytest.mark.parametrize(
    "version", [0, 2, 4, "3", None, 3.5, 3.0, [], "\u202e" * 1000], ids=lambda v: ascii(v)[:9]
)
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


@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD, MANIFEST])
def test_a_huge_sparse_file_is_refused_unread(bundle: Path, name: str) -> None:
    os.truncate(bundle / name, 1 << 33)
    with pytest.raises(BundleError, match=f"{name} (has|cannot be read: it has) 8,589,934,592 bytes"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD])
def test_a_huge_sparse_file_that_a_manifest_vouches_for_is_refused_unread(bundle: Path, name: str) -> None:
    os.truncate(bundle / name, 1 << 33)
    reseal(bundle, lambda record: record["files"][name].update(size=1 << 33))
    with pytest.raises(BundleError, match=f"{name} cannot be read: it has 8,589,934,592 bytes, at most"):
        open_bundle(bundle)


@pytest.mark.parametrize("kind", ["fifo", "sparse", "folder", "nowhere", "device"])
def test_what_is_no_graph_alone_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / MODEL
    if kind == "fifo":
        os.mkfifo(path)
    if kind == "sparse":
        path.touch()
        os.truncate(path, 1 << 33)
    if kind == "folder":
        path.mkdir()
    with pytest.raises(BundleError, match=re.escape(str(path))):
        open_bundle(path)


def external(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


@pytest.mark.parametrize("place", ["folder", "alone", "link to the folder", "link to the graph"])
def test_a_graph_is_looked_through_however_it_is_named(tmp_path: Path, place: str) -> None:
    make_bundle(tmp_path / "bundle")
    content = altered(external)
    (tmp_path / "bundle" / MODEL).write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    reseal(tmp_path / "bundle", lambda record: record["files"].update({MODEL: entry}))
    path = tmp_path / "bundle" / (MODEL if "graph" in place or place == "alone" else "")
    if "link" in place:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    found = f"{path / MODEL if 'folder' in place else path}: the graph holds external data"
    with pytest.raises(BundleError, match=re.escape(found)):
        open_bundle(path)


def test_a_link_to_a_folder_or_to_a_graph_alone_is_followed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle)
    (tmp_path / MODEL).symlink_to(bundle / MODEL)
    assert open_bundle(tmp_path / "current").manifest == read_manifest(tmp_path / "current")
    assert open_bundle(tmp_path / MODEL).model == make_model()


def test_a_link_that_is_switched_meanwhile_gives_one_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = [
        make_bundle(tmp_path / name, accuracy=accuracy) for name, accuracy in (("a", 0.8), ("b", 0.9))
    ]
    link = tmp_path / "current"
    link.symlink_to("a")

    def switch(*_arguments: object) -> None:
        link.unlink()
        link.symlink_to("b")

    monkeypatch.setattr("pipeline.runtime.bundle._check_digest", switch)
    assert open_bundle(link).manifest == manifests[0]


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_digest_that_was_asked_for_has_to_be_the_bundles(bundle: Path, is_folder: bool) -> None:
    digest = read_manifest(bundle).digest
    path = bundle if is_folder else bundle / MODEL
    if is_folder:
        assert open_bundle(path, digest=digest) == open_bundle(path)
        with pytest.raises(BundleError, match=f"has the digest {digest}, {'0' * 64} was asked for"):
            open_bundle(path, digest="0" * 64)
    else:
        with pytest.raises(BundleError, match=f"whose digest was to be {digest}: name the folder"):
            open_bundle(path, digest=digest)


@pytest.mark.parametrize("outside", ["../outside", "folder/file", "/etc/hostname", "..", ".", ""], ids=repr)
def test_a_path_out_of_the_folder_is_refused(bundle: Path, outside: str) -> None:
    (bundle.parent / "outside").write_bytes(b"x")
    record = FileRecord("0" * 64, 1)
    manifest = read_manifest(bundle)
    forged = replace(manifest, files={**manifest.files, outside: record}).sealed()
    (bundle / MANIFEST).write_bytes(forged.to_bytes())
    with pytest.raises(
        BundleError, match=f"{MANIFEST} describes its files or figures wrongly: it lists .*{outside}"
    ):
        open_bundle(bundle)


@pytest.mark.parametrize("name", [GOLDEN, CARD])
def test_a_manifest_that_lists_fewer_files_is_refused(bundle: Path, name: str) -> None:
    reseal(bundle, lambda record: record["files"].pop(name))
    (bundle / name).unlink()
    with pytest.raises(BundleError, match="it lists "):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("graph", "form"),
        ("graph", "opset"),
        ("corpus", "name"),
        ("corpus", "provenance"),
        ("corpus", "test_sha256"),
    ],
)
@pytest.mark.parametrize("value", [None, [], {}], ids=repr)
def test_a_manifest_without_what_its_readers_show_is_refused(
    bundle: Path, part: str, key: str, value: object
) -> None:
    reseal(bundle, lambda record: record[part].update({key: value}))
    with pytest.raises(BundleError, match="wrongly"):
        open_bundle(bundle)
    reseal(bundle, lambda record: record[part].pop(key))
    with pytest.raises(BundleError, match="wrongly"):
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


@pytest.mark.parametrize("reference", [None, {}, 7, {"score": [1, 2]}], ids=repr)
def test_a_reference_that_is_none_is_refused(bundle: Path, reference: object) -> None:
    reseal(bundle, lambda record: record.update(reference=reference))
    with pytest.raises(BundleError, match="histograms have to be of score, tokens, unknown_share"):
        open_bundle(bundle)


def test_a_reference_with_another_edge_is_refused(bundle: Path) -> None:
    reseal(bundle, lambda record: record["reference"]["tokens"]["edges"].append(2048))
    with pytest.raises(BundleError, match="the histogram of tokens"):
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
