"""The bundle: one folder, or its ``model.onnx`` alone, that holds all a scorer needs.

``manifest.json`` names every other file with its size and SHA-256, and carries the SHA-256 of its
own canonical form, so a bundle is byte for byte what was published or it is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pipeline.errors import BundleError
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.rows import printable

FORMAT_VERSION = 3
MODEL = "model.onnx"
MANIFEST = "manifest.json"
GOLDEN = "golden.jsonl"
CARD = "README.md"
_REMEDY = "this is not the bundle that was published: copy it again, or make it again"
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_FILE_BYTES = 1 << 30


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


@dataclass(frozen=True)
class GoldenRow:
    """One line of ``golden.jsonl``."""

    review: str
    token_ids: list[int]
    score: float | None
    """None where the review holds no word and so has no score."""


def open_bundle(path: Path) -> Bundle:
    """Read a bundle folder with every digest checked, or a ``model.onnx`` alone.

    Raises:
        BundleError: If there is no bundle, or one file is not what was published.
    """
    try:
        if path.is_file():
            return Bundle(path, {MODEL: path.read_bytes()}, None)
        manifest = read_manifest(path)
        return Bundle(path, dict(read_checked_files(path, manifest)), manifest)
    except OSError as error:
        msg = f"{printable(str(path))} cannot be read: {error.strerror or error}"
        raise BundleError(msg) from error


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``: version, keys, canonical form, own digest.

    Raises:
        BundleError: If the folder is no bundle or its manifest is not as published.
    """
    path = folder / MANIFEST
    shown = printable(str(folder))
    try:
        if path.exists() and not _is_plain(path, _MAX_MANIFEST_BYTES):
            msg = f"{shown}: {MANIFEST} is no plain file of at most {_MAX_MANIFEST_BYTES:,} bytes"
            raise BundleError(msg)
        content = path.read_bytes()
    except OSError as error:
        msg = f"{shown} is not a bundle: {MANIFEST} cannot be read (make one with `make pipeline`)"
        raise BundleError(msg) from error
    manifest = _parse_manifest(content, shown)
    if not _is_as_sealed(manifest, content):
        msg = f"{shown}: {MANIFEST} was changed after it was published; {_REMEDY}"
        raise BundleError(msg)
    return manifest


def _is_plain(path: Path, max_bytes: int) -> bool:
    """Tell whether reading a path gives a file's bytes: no link, no FIFO to wait for, not too many."""
    return not path.is_symlink() and path.is_file() and path.stat().st_size <= max_bytes


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
    if found != FORMAT_VERSION:
        msg = f"{shown}: {MANIFEST} has format version {found!r}, this program reads {FORMAT_VERSION}"
        raise BundleError(msg)
    known = {field.name for field in fields(Manifest)}
    if set(record) != known:
        unlike = ", ".join(sorted(printable(key) for key in set(record) ^ known))
        msg = f"{shown}: {MANIFEST} has unknown or missing keys: {unlike}"
        raise BundleError(msg)
    try:
        files = {name: FileRecord(**entry) for name, entry in record["files"].items()}
        for file in files.values():
            _check_types(file.sha256, str)
            _check_types(file.size, int)
        manifest = Manifest(**{**record, "files": files})
        _check_figures(manifest)
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        msg = f"{shown}: {MANIFEST} describes its files or figures wrongly: {error}"
        raise BundleError(msg) from error
    return manifest


def _check_figures(manifest: Manifest) -> None:
    """Look for the figures that every reader of a manifest shows."""
    low, high = manifest.metrics["accuracy_interval"]
    for figure in (manifest.metrics["accuracy"], low, high, manifest.parity["largest"]):
        _check_types(figure, float)
    for count in (
        manifest.metrics["reviews"],
        manifest.parity["labels_changed"],
        manifest.graph["bytes"],
        *manifest.graph["operators"].values(),
    ):
        _check_types(count, int)
    Histograms.from_record(manifest.reference)


def read_checked_files(folder: Path, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of every file, each checked against the manifest.

    Raises:
        BundleError: For a missing, extra or changed file, a link, or a path out of the folder.
    """
    shown = printable(str(folder))
    present = {entry.name for entry in folder.iterdir()}
    listed = set(manifest.files) | {MANIFEST}
    if present != listed or MODEL not in listed:
        missing = ", ".join(sorted(printable(name) for name in (listed | {MODEL}) - present)) or "none"
        extra = ", ".join(sorted(printable(name) for name in present - listed)) or "none"
        msg = f"{shown}: missing files: {missing}; extra files: {extra}; {_REMEDY}"
        raise BundleError(msg)
    for name, record in sorted(manifest.files.items()):
        yield name, _read_checked(folder, name, record)


def _read_checked(folder: Path, name: str, record: FileRecord) -> bytes:
    path, shown = folder / name, printable(f"{folder}: {name}")
    if Path(name).name != name or not _is_plain(path, _MAX_FILE_BYTES):
        msg = f"{shown} is not a plain file of the bundle"
        raise BundleError(msg)
    size = path.stat().st_size
    if size != record.size:
        msg = f"{shown} has {size:,} bytes, {record.size:,} were published; {_REMEDY}"
        raise BundleError(msg)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != record.sha256:
        msg = f"{shown} has the SHA-256 {digest[:12]}…, {record.sha256[:12]}… was published; {_REMEDY}"
        raise BundleError(msg)
    return content


def read_golden(content: bytes) -> list[GoldenRow]:
    """Parse ``golden.jsonl``.

    Raises:
        BundleError: If a line is not a golden row.
    """
    try:
        rows = [GoldenRow(**json.loads(line)) for line in content.decode().split("\n") if line]
        for row in rows:
            _check_types(row.review, str)
            _check_types(row.score, float, type(None))
            for token_id in row.token_ids:
                _check_types(token_id, int)
    except (ValueError, TypeError, RecursionError) as error:
        msg = f"{GOLDEN} holds a line that is not a golden row: {error}"
        raise BundleError(msg) from error
    return rows


def _check_types(value: object, *types: type) -> None:
    """Refuse a value of another type; ``True`` is no number here."""
    if type(value) not in types:
        msg = f"found {value!r} where {' or '.join(each.__name__ for each in types)} was expected"
        raise TypeError(msg)


def write_golden(rows: list[GoldenRow]) -> bytes:
    """Give golden rows as JSON lines."""
    return "".join(json.dumps(asdict(row), separators=(",", ":")) + "\n" for row in rows).encode()
