"""A directory of scores: a plan, parts that are published one by one, and a mark when all are there.

::

    _plan.json          all that decides the bytes of the rest
    _inputs.jsonl       the files to be read, in their order
    _part-00000.jsonl   the ledger of a part: its rejects, then one line of counts
    part-00000.jsonl    the part: it is published by one rename, and is the record that it is done
    rejects.jsonl       every reject of every part
    _summary.json       the counts of all parts
    _SUCCESS            comes last: the directory is whole
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import InputOutputError, OutputInUse, PlanError
from pipeline.runtime.durable import draft, durable_file, is_temporary, sync_folder, write_durably
from pipeline.runtime.ledgers import Ledger, read_ledger
from pipeline.runtime.plan import Plan, PlannedFile
from pipeline.runtime.plan_lock import hold_plan_alone
from pipeline.runtime.rows import printable
from pipeline.runtime.summary import Summary

PLAN, INPUTS, REJECTS, SUMMARY, SUCCESS = (
    "_plan.json", "_inputs.jsonl", "rejects.jsonl", "_summary.json", "_SUCCESS",
)  # fmt: skip
_OURS = re.compile(
    r"_?part-[0-9]{5,}\.(jsonl|csv|parquet)|_plan\.json|_inputs\.jsonl|rejects\.jsonl|_summary\.json|_SUCCESS"
)


class OutputFolder:
    """A directory that holds, or is to hold, the parts of one plan."""

    def __init__(self, path: Path, lock: int = -1) -> None:
        self.path = path
        self.lock = lock
        """Descriptor that holds the directory for this run; processes that it starts inherit it."""

    @property
    def shown(self) -> str:
        """The path, fit for a message."""
        return printable(str(self.path))

    @property
    def is_finished(self) -> bool:
        """Whether a run came to its end here."""
        return (self.path / SUCCESS).exists()

    def sync(self) -> None:
        """Make the names in the directory survive power loss."""
        try:
            sync_folder(self.path)
        except OSError as error:
            msg = f"{self.shown} cannot be synced: {error.strerror or error}"
            raise InputOutputError(msg) from error

    def remove_leftovers(self) -> None:
        """Remove the unfinished files of a run that was killed."""
        for name in self._names():
            if is_temporary(name):
                with suppress(FileNotFoundError):
                    self._remove(name)

    def foreign_name(self, *, is_planned: bool = True) -> str | None:
        """Give the name of something here that no run has written, or none whose plan is not fixed yet."""
        names = (each for each in self._names() if not is_temporary(each))
        return next(
            (each for each in names if not (_OURS.fullmatch(each) if is_planned else each == INPUTS)), None
        )

    def clear(self) -> None:
        """Remove all that a run has written, so that what is left can be gone on with wherever this ends.

        The mark that it is whole goes first, the plan when all its parts are gone, and its inputs last.

        Raises:
            OutputInUse: If somebody still writes a part of the plan.
            InputOutputError: If something cannot be removed.
        """
        last = (PLAN, INPUTS)
        with hold_plan_alone(self.path / PLAN):
            self.unfinish()
            parts = (name for name in self._names() if name not in last)
            for names in (parts, *((name,) for name in last)):
                for name in names:
                    if _OURS.fullmatch(name) or is_temporary(name):
                        with suppress(FileNotFoundError):
                            self._remove(name)
                self.sync()

    def read_plan(self) -> dict[str, Any] | None:
        """Give the record of the plan; None where none was made.

        Raises:
            PlanError: If it is none.
            InputOutputError: If it cannot be read.
        """
        with self._reading(PLAN):
            try:
                record = json.loads((self.path / PLAN).read_bytes())
            except FileNotFoundError:
                return None
            Plan.from_record(record)
        return dict(record)

    def write_plan(self, plan: Plan) -> None:
        """Fix the plan; the listing of its inputs has to stand already."""
        write_durably(self.path / PLAN, json_page(plan.to_record()))

    @contextmanager
    def listing(self) -> Iterator[BinaryIO]:
        """Give the stream that takes the listing of the inputs."""
        with durable_file(self.path / INPUTS) as stream:
            yield stream

    def planned_files(self) -> Iterator[PlannedFile]:
        """Yield the inputs in their order.

        Raises:
            PlanError: If the listing is gone, or is none.
            InputOutputError: If it cannot be read.
        """
        with self._reading(INPUTS), (self.path / INPUTS).open("rb") as stream:
            yield from map(PlannedFile.from_line, stream)

    def part_path(self, number: int, suffix: str) -> Path:
        """Give the final path of a part, by its number from 0."""
        return self.path / f"part-{number:05}.{suffix}"

    def ledger_path(self, number: int) -> Path:
        """Give the final path of a part's ledger."""
        return self.path / f"_part-{number:05}.jsonl"

    def find_ledger(self, number: int, suffix: str) -> Ledger | None:
        """Give the ledger of a part that is published whole, by its size; None where it is not."""
        try:
            size = self.part_path(number, suffix).stat().st_size
            ledger = read_ledger(self.ledger_path(number))
        except FileNotFoundError:
            return None
        except OSError as error:  # Before ValueError: what cannot seek any more is both.
            raise self._unreadable(self.ledger_path(number), error) from error
        except ValueError:
            return None
        return ledger if ledger.size == size else None

    def reject_lines(self, number: int) -> Iterator[bytes]:
        """Yield the rejects of a published part, a line each.

        Raises:
            InputOutputError: If they cannot be read.
        """
        path = self.ledger_path(number)
        try:
            with path.open("rb") as stream:
                line = stream.readline()
                for following in stream:
                    yield line
                    line = following
        except OSError as error:
            raise self._unreadable(path, error) from error

    def finish(self, rejects: Iterable[bytes], summary: dict[str, Any]) -> None:
        """Join the rejects, write the summary, and then the mark that the directory is whole."""
        with draft(self.path / REJECTS) as joined, draft(self.path / SUMMARY) as page:
            joined.stream.writelines(rejects)
            page.stream.write(json_page(summary))
            joined.publish()
            page.publish()
        self.sync()
        write_durably(self.path / SUCCESS, b"")

    def unfinish(self) -> None:
        """Take the mark away that the directory is whole, since it is not any more."""
        with suppress(FileNotFoundError):
            self._remove(SUCCESS)
        self.sync()

    def read_summary(self) -> dict[str, Any]:
        """Give the summary of a finished run.

        Raises:
            PlanError: If it is gone, or is none.
            InputOutputError: If it cannot be read.
        """
        with self._reading(SUMMARY):
            record = dict(json.loads((self.path / SUMMARY).read_bytes()))
            Summary.from_record(record)
            range(record["parts"])
        return record

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Tell a disk that fails from a file that is not what a run has written."""
        try:
            yield
        except FileNotFoundError as error:
            if not self.path.is_dir():
                msg = f"{self.shown} is gone: another program has removed it"
                raise InputOutputError(msg) from error
            msg = f"{self.shown}: {name} is gone; start anew with --overwrite"
            raise PlanError(msg) from error
        except OSError as error:
            raise self._unreadable(self.path / name, error) from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            msg = f"{self.shown}: {name} cannot be read: {error}; start anew with --overwrite"
            raise PlanError(msg) from error

    @staticmethod
    def _unreadable(path: Path, error: OSError) -> InputOutputError:
        return InputOutputError(f"{printable(str(path))} cannot be read: {error.strerror or error}")

    def _names(self) -> list[str]:
        try:
            return [entry.name for entry in self.path.iterdir()]
        except OSError as error:
            msg = f"{self.shown} cannot be listed: {error.strerror or error}"
            raise InputOutputError(msg) from error

    def _remove(self, name: str) -> None:
        try:
            (self.path / name).unlink()
        except FileNotFoundError:
            raise
        except OSError as error:
            msg = f"{printable(str(self.path / name))} cannot be removed: {error.strerror or error}"
            raise InputOutputError(msg) from error


@contextmanager
def claim_folder(path: Path) -> Iterator[OutputFolder]:
    """Make a directory, if it is not there, and hold it against other runs.

    The lock is the kernel's and ends with the last process that holds it, however that ends;
    nothing is written for it. A directory that was made and stayed empty is removed again.

    Raises:
        OutputInUse: If another run holds it.
        InputOutputError: If it cannot be made or held.
    """
    is_new = _make(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        msg = f"{printable(str(path))} cannot be opened: {error.strerror or error}"
        raise InputOutputError(msg) from error
    try:
        _lock(descriptor, path)
        try:
            yield OutputFolder(path, descriptor)
        finally:
            # Not where it was not locked: it would be taken from under the run that holds it.
            if is_new:
                with suppress(OSError):
                    path.rmdir()
    finally:
        # All that matters was synced; a directory's descriptor holds nothing more.
        with suppress(OSError):
            os.close(descriptor)


def _make(path: Path) -> bool:
    is_new = True
    try:
        try:
            path.mkdir()
        except FileExistsError:
            is_new = False
        # Whoever made it may have been killed before this.
        sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, PermissionError) and not is_new:
            return is_new  # One may write in a folder that lies where one may not read.
        msg = f"{printable(str(path))} cannot be made: {error.strerror or error}"
        raise InputOutputError(msg) from error
    return is_new


def _lock(descriptor: int, path: Path) -> None:
    in_use = f"{printable(str(path))} is in use: another run writes there; wait, or name another directory"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise OutputInUse(in_use)
    except OSError as error:
        # Gone: whoever held it between opening and locking has removed it again.
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.ENOENT):
            raise OutputInUse(in_use) from error
        msg = f"{printable(str(path))} cannot be locked: {error.strerror}; name a directory on a local disk"
        raise InputOutputError(msg) from error


def json_page(record: dict[str, Any]) -> bytes:
    """Give a record as JSON for people and programs to read."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
