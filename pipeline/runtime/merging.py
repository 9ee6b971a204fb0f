"""One output out of the parts of finished directories, each part exactly once and as it was published."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import InputOutputError, PlanError, UsageError
from pipeline.runtime.ledgers import Ledger
from pipeline.runtime.output_folder import SUMMARY, OutputFolder
from pipeline.runtime.plan import Plan, Shard
from pipeline.runtime.reading import Place
from pipeline.runtime.rows import printable
from pipeline.runtime.sinks import OutputFormat, header_of
from pipeline.runtime.summary import Summary, summary_record

_CHUNK = 1 << 20


@dataclass(frozen=True)
class FinishedFolder:
    """A directory whose run came to its end."""

    folder: OutputFolder
    plan: Plan
    digest: str
    """Of the plan, whichever shard of it this is."""
    page: dict[str, Any]
    """The record of its summary."""

    @classmethod
    def open(cls, path: Path) -> FinishedFolder:
        """Read what a directory says of itself.

        Raises:
            UsageError: If it is no directory of scores, or not finished.
            PlanError: If its plan or its summary cannot be read.
        """
        folder = OutputFolder(path, lock=-1)
        if not path.is_dir():
            msg = f"{folder.shown} is no directory; name those that `resenha score -o DIRECTORY/` has written"
            raise UsageError(msg)
        record = folder.read_plan()
        if record is None or not folder.is_finished:
            what = "holds no scores" if record is None else "is not finished: go on with --resume"
            msg = f"{folder.shown} {what}"
            raise UsageError(msg)
        return cls(folder, Plan.from_record(record), record["digest"], folder.read_summary())


class Merger:
    """Joins the parts of directories that belong to one plan: a single one, or all of its shards.

    Args:
        folders: In any order.

    Raises:
        UsageError: If they are of different plans, or a shard is missing or there twice.
    """

    def __init__(self, folders: Sequence[FinishedFolder]) -> None:
        first = folders[0]
        for each in folders:
            if each.digest != first.digest:
                names = f"{first.folder.shown} and {each.folder.shown}"
                msg = f"{names} are not of one plan: their bundle, inputs, options or versions differ"
                raise UsageError(msg)
        self._owners = {each.plan.shard: each for each in folders}
        of = first.plan.shard.of
        found = sorted(str(each.plan.shard) for each in folders)
        wanted = sorted(str(Shard(number, of)) for number in range(1, of + 1))
        if found != wanted:
            msg = f"all shards are needed, each once: found {', '.join(found)}; wanted {', '.join(wanted)}"
            raise UsageError(msg)
        self._plan = first.plan
        self._pages = [each.page for each in folders]

    def write(self, stream: BinaryIO) -> None:
        """Write all parts in their order.

        Raises:
            PlanError: If a part is missing, is not what was published, or does not follow the one before.
        """
        output_format = self._plan.write.output_format
        if output_format is OutputFormat.PARQUET:
            from pipeline.runtime.parquet_sink import join_parquet

            paths = [path for path, ledger in self._parts() if _is_as_published(path, ledger)]
            join_parquet(paths, stream)
            return
        header = header_of(output_format, self._plan.write.kept_as)
        for number, (path, ledger) in enumerate(self._parts()):
            _copy(path, ledger, stream, skipped=len(header) if number else 0)

    def reject_lines(self) -> Iterator[bytes]:
        """Yield the rejects of all parts in their order, a line each."""
        for number, owner in self._numbered():
            yield from owner.folder.reject_lines(number)

    def summary(self) -> dict[str, Any]:
        """Give the record of the summary of all parts."""
        total = Summary()
        try:
            for page in self._pages:
                total.merge(Summary.from_record(page))
        except ValueError as error:
            msg = f"a {SUMMARY} cannot be read: {error}"
            raise PlanError(msg) from error
        total.check_conservation()
        page = self._pages[0]
        about = {key: page.get(key) for key in ("plan", "parts", "versions")}
        return summary_record(total, self._plan.bundle, page.get("reference"), about)

    def _numbered(self) -> Iterator[tuple[int, FinishedFolder]]:
        for number in range(self._pages[0]["parts"]):
            yield number, next(each for shard, each in self._owners.items() if shard.owns(number))

    def _parts(self) -> Iterator[tuple[Path, Ledger]]:
        end = Place()
        for number, owner in self._numbered():
            suffix = self._plan.write.output_format
            path, ledger = owner.folder.part_path(number, suffix), owner.folder.find_ledger(number, suffix)
            if ledger is None or ledger.start != end:
                what = (
                    "is missing or was cut" if ledger is None else "does not begin where the last one ended"
                )
                msg = f"{printable(str(path))} {what}; score it again into a new directory"
                raise PlanError(msg)
            end = ledger.end
            yield path, ledger


def _copy(path: Path, ledger: Ledger, stream: BinaryIO, *, skipped: int) -> None:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
        stream.write(piece[skipped:])
        skipped = max(0, skipped - len(piece))
    _check_digest(path, ledger, digest.hexdigest())


def _is_as_published(path: Path, ledger: Ledger) -> bool:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    _check_digest(path, ledger, digest.hexdigest())
    return True


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as part:
            while piece := part.read(_CHUNK):
                yield piece
    except OSError as error:
        msg = f"{printable(str(path))} cannot be read: {error.strerror or error}"
        raise InputOutputError(msg) from error


def _check_digest(path: Path, ledger: Ledger, found: str) -> None:
    if found != ledger.sha256:
        msg = (
            f"{printable(str(path))} has the SHA-256 {found[:12]}…, {ledger.sha256[:12]}… was published; "
            "remove it and its directory's _SUCCESS, and --resume scores it again"
        )
        raise PlanError(msg)
