"""The bundle: one folder, or its ``model.onnx`` alone, that holds all a scorer needs.

``manifest.json`` names every other file with its size and SHA-256, and carries the SHA-256 of its
own canonical form, so a bundle is byte for byte what was published or it is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.errors import BundleError
from pipeline.runtime.graph_check import check_graph_bytes
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.plain_files import opened, plain_size, read_plain
from pipeline.runtime.rows import printable

FORMAT_VERSION = 3
MODEL = "model.onnx"
MANIFEST = "manifest.json"
GOLDEN = "golden.jsonl"
CARD = "README.md"
_REMEDY = "this is not the bundle that was published: copy it again, or make it again"
_MOST_MANIFEST_BYTES = 1 << 20
_MOST_BYTES = {MODEL: 1 << 30, GOLDEN: 16 << 20, CARD: 1 << 20}
"""The files beside the manifest, and how large each may be."""
_MOST_ENTRIES = 20
"""Of a folder that are looked at: enough for a message, and no memory."""


@dataclass(frozen=True)
class FileRecord:
    """What a file of a bundle was when it was published."""

    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself. It holds no date and no duration: equal work, equal bytes."""

    format_version: int
    recipe: Mapping[str, Any]
    corpus: Mapping[str, Any]
    """Name, provenance, archive checksum, data fingerprint, number of reviews."""
    packages: Mapping[str, str]
    metrics: Mapping[str, Any]
    gates: list[Mapping[str, Any]]
    parity: Mapping[str, Any]
    graph: Mapping[str, Any]
    """Of ``model.onnx``: its form, operators (type to number, subgraphs included), opset, bytes, and
    what refused the forms that would have been preferred."""
    reference: Mapping[str, Any]
    """Of the validation split, as ``Histograms.to_record`` gives it: what scoring is compared with."""
    files: Mapping[str, FileRecord]
    digest: str = ""
    """SHA-256 of this manifest's canonical bytes with this field empty."""

    def sealed(self) -> Manifest:
        """Give the same manifest with its own digest filled in."""
        blank = replace(self, digest="")
        return replace(self, digest=hashlib.sha256(blank.to_bytes()).hexdigest())

    def to_bytes(self) -> bytes:
        """Give the canonical form: sorted keys, UTF-8, two blanks of indent, one line end."""
        record = vars(self) | {"files": {name: vars(file) for name, file in self.files.items()}}
        return (json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True)
class Bundle:
    """A bundle whose bytes have been read and, where it has a manifest, checked."""

    path: Path
    files: Mapping[str, bytes]
    """Name to content, the manifest left out."""
    manifest: Manifest | None
    """None where ``model.onnx`` was named alone: nothing vouches for its bytes."""

    @property
    def digest(self) -> str:
        """What names these bytes and no others: the manifest's digest, or the graph's where it is alone."""
        return self.manifest.digest if self.manifest else hashlib.sha256(self.model).hexdigest()

    @property
    def model(self) -> bytes:
        """The graph's bytes."""
        return self.files[MODEL]

    @property
    def model_path(self) -> Path:
        """Where the graph's bytes were found."""
        return self.path / MODEL if self.manifest else self.path


def open_bundle(path: Path, *, digest: str | None = None) -> Bundle:
    """Read a bundle folder with every digest checked, or a ``model.onnx`` alone.

    The path itself may be a link, as ``artifacts/current`` is; a file inside a folder may not. A
    folder is found once: where a link is switched meanwhile, all files are still those of one bundle.

    Args:
        path: The folder, or the file.
        digest: What the manifest's own digest has to be; 64 hexadecimal digits.

    Raises:
        BundleError: If there is no bundle, one file is not what was published, the digest is another,
            or the graph holds what no bundle's graph may hold.
    """
    shown = printable(str(path))
    try:
        with opened(path, may_be_link=True) as descriptor:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                manifest = _read_manifest(descriptor, shown)
                _check_digest(manifest, digest, shown)
                bundle = Bundle(path, _read_files(descriptor, manifest, shown), manifest)
            else:
                _check_digest(None, digest, shown)
                bundle = Bundle(path, {MODEL: read_plain(descriptor, _MOST_BYTES[MODEL])}, None)
    except OSError as error:
        msg = f"{shown} cannot be read: {error.strerror or error}"
        raise BundleError(msg) from error
    with named(bundle.model_path):
        check_graph_bytes(bundle.model)
    return bundle


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Let a refusal name the file that it is about."""
    try:
        yield
    except BundleError as error:
        msg = f"{printable(str(path))}: {error}"
        raise BundleError(msg) from error


def _check_digest(manifest: Manifest | None, digest: str | None, shown: str) -> None:
    if digest is None:
        return
    if manifest is None:
        msg = f"{shown} is no folder with a {MANIFEST}, whose digest was to be {digest}: name the folder"
        raise BundleError(msg)
    if manifest.digest != digest:
        msg = f"{shown}: {MANIFEST} has the digest {manifest.digest}, {digest} was asked for; {_REMEDY}"
        raise BundleError(msg)


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``: version, keys, canonical form, own digest.

    Raises:
        BundleError: If the folder is no bundle or its manifest is not as published.
    """
    shown = printable(str(folder))
    try:
        with opened(folder, may_be_link=True) as descriptor:
            return _read_manifest(descriptor, shown)
    except OSError as error:
        msg = f"{shown} is not a bundle: {error.strerror or error}"
        raise BundleError(msg) from error


def _read_manifest(folder: int, shown: str) -> Manifest:
    try:
        with opened(MANIFEST, folder=folder) as descriptor:
            content = read_plain(descriptor, _MOST_MANIFEST_BYTES)
    except OSError as error:
        reason = error.strerror or error
        msg = f"{shown} is not a bundle: {MANIFEST} cannot be read: {reason} (`make pipeline` makes one)"
        raise BundleError(msg) from error
    manifest = _parse_manifest(content, shown)
    if not _is_as_sealed(manifest, content):
        msg = f"{shown}: {MANIFEST} was changed after it was published; {_REMEDY}"
        raise BundleError(msg)
    return manifest


def _is_as_sealed(manifest: Manifest, content: bytes) -> bool:
    try:
        return manifest.to_bytes() == content and manifest.sealed().digest == manifest.digest
    except (ValueError, TypeError):  # Half a surrogate pair, or a number that JSON does not know.
        return False


def _parse_manifest(content: bytes, shown: str) -> Manifest:
    try:
        record = json.loads(content)
        found = record["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f"{shown}: {MANIFEST} is not a manifest; {_REMEDY}"
        raise BundleError(msg) from error
    if type(found) is not int or found != FORMAT_VERSION:
        msg = f"{shown}: {MANIFEST} has format version {found!r:.60}, this program reads {FORMAT_VERSION}"
        raise BundleError(msg)
    known = {field.name for field in fields(Manifest)}
    if set(record) != known:
        unlike = ", ".join(sorted(printable(key) for key in set(record) ^ known))
        msg = f"{shown}: {MANIFEST} has unknown or missing keys: {unlike}"
        raise BundleError(msg)
    try:
        files = {name: FileRecord(**entry) for name, entry in record["files"].items()}
        _check_files(files)
        manifest = Manifest(**{**record, "files": files})
        _check_figures(manifest)
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        msg = f"{shown}: {MANIFEST} describes its files or figures wrongly: {printable(str(error))}"
        raise BundleError(msg) from error
    return manifest


def _check_files(files: Mapping[str, FileRecord]) -> None:
    """Look for exactly the files of a bundle, so that no path can lead out of its folder."""
    if set(files) != set(_MOST_BYTES):
        msg = f"it lists {_listing(set(files))}; a bundle has {_listing(set(_MOST_BYTES))}"
        raise ValueError(msg)
    for file in files.values():
        check_types(file.sha256, str)
        check_types(file.size, int)


def _check_figures(manifest: Manifest) -> None:
    """Look for the figures that every reader of a manifest shows."""
    check_types(manifest.recipe, dict)
    check_types(manifest.gates, list)
    low, high = manifest.metrics["accuracy_interval"]
    for figure in (manifest.metrics["accuracy"], low, high, manifest.parity["largest"]):
        check_types(figure, float)
    for count in (
        manifest.metrics["reviews"],
        manifest.parity["labels_changed"],
        manifest.graph["bytes"],
        manifest.graph["opset"],
        *manifest.graph["operators"].values(),
    ):
        check_types(count, int)
    for text in (
        manifest.graph["form"],
        *(manifest.corpus[key] for key in ("name", "provenance", "test_sha256")),
    ):
        check_types(text, str)
    Histograms.from_record(manifest.reference)


def _read_files(folder: int, manifest: Manifest, shown: str) -> dict[str, bytes]:
    """Read every file but the manifest, each checked against it."""
    with os.scandir(folder) as entries:
        present = {entry.name for entry in islice(entries, _MOST_ENTRIES)}
    listed = {*_MOST_BYTES, MANIFEST}
    if present != listed:
        missing = "not looked for" if len(present) == _MOST_ENTRIES else _listing(listed - present)
        msg = f"{shown}: missing files: {missing}; extra files: {_listing(present - listed)}; {_REMEDY}"
        raise BundleError(msg)
    return {name: _read_checked(folder, name, manifest.files[name], shown) for name in sorted(_MOST_BYTES)}


def _listing(names: set[str]) -> str:
    return ", ".join(sorted(printable(name) for name in names)) or "none"


def _read_checked(folder: int, name: str, record: FileRecord, shown: str) -> bytes:
    try:
        with opened(name, folder=folder) as descriptor:
            size = plain_size(descriptor)
            if size != record.size:
                msg = f"{shown}: {name} has {size:,} bytes, {record.size:,} were published; {_REMEDY}"
                raise BundleError(msg)
            content = read_plain(descriptor, _MOST_BYTES[name])
    except OSError as error:
        msg = f"{shown}: {name} cannot be read: {error.strerror or error}; {_REMEDY}"
        raise BundleError(msg) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != record.sha256:
        found, expected = digest[:12], printable(record.sha256[:12])
        msg = f"{shown}: {name} has the SHA-256 {found}…, {expected}… was published; {_REMEDY}"
        raise BundleError(msg)
    return content


def check_types(value: object, *types: type) -> None:
    """Refuse a value of another type; ``True`` is no number here."""
    if type(value) not in types:
        msg = f"found {value!r} where {' or '.join(each.__name__ for each in types)} was expected"
        raise TypeError(msg)
