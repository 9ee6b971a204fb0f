"""The plan of an output directory: all that decides its bytes, fixed before the first row is scored."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any, BinaryIO, NamedTuple

from pipeline.errors import PlanError
from pipeline.runtime.listing import InputFile
from pipeline.runtime.opening import STDIN
from pipeline.runtime.reading import InputFormat, ReadOptions
from pipeline.runtime.rows import printable
from pipeline.runtime.sinks import OutputFormat
from pipeline.runtime.stamps import InputCheck, Stamp, stamp_of

PLAN_VERSION = 1
DEFAULT_PART_ROWS = 100_000
_REMEDY = "put it back, name another directory, or start anew with --overwrite"
BATCH_SHARES = 2
"""For how many threads the batches of a part are cut, however many there are: what a batch holds may
move a score's last digit, and a part has to be the same wherever it is scored."""


class Shard(NamedTuple):
    """Which parts of a plan one machine scores: every ``of``-th, from the ``number``-th on."""

    number: int = 1
    of: int = 1

    def owns(self, part: int) -> bool:
        """Tell whether a part, by its number from 0, is one of this shard's."""
        return part % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Shard()


@dataclass(frozen=True)
class WriteOptions:
    """How scored rows are written, the same for all parts."""

    output_format: OutputFormat
    kept_as: tuple[str, ...] = ()
    """Names in the output of ``ReadOptions.keep_columns``, in their order."""
    threshold: float | None = None
    """None: the bundle's."""


class PlannedFile(NamedTuple):
    """An input and what it was when the plan was made."""

    file: InputFile
    stamp: Stamp | None
    """None: standard input, or what cannot be read and will be a reject."""

    def to_line(self) -> bytes:
        """Give a line of JSON; names that are no UTF-8 survive in it."""
        return (json.dumps([*(self.file.name, self.file.input_format), self.stamp]) + "\n").encode()

    @classmethod
    def from_line(cls, line: bytes) -> PlannedFile:
        """Read what ``to_line`` gave."""
        name, input_format, stamp = json.loads(line)
        return cls(InputFile(name, InputFormat(input_format)), None if stamp is None else Stamp(*stamp))


@dataclass(frozen=True)
class InputTotals:
    """What the listing of the inputs comes to."""

    files: int
    bytes: int
    sha256: str
    """Of the listing's bytes."""
    passed_over: int = 0
    """Entries of input folders that are not read."""


@dataclass(frozen=True)
class Plan:
    """All that decides what stands in an output directory; equal plans, equal bytes."""

    bundle: Mapping[str, str]
    """Name and digest."""
    read: ReadOptions
    write: WriteOptions
    inputs: InputTotals
    check: InputCheck = InputCheck.STAT
    part_rows: int = DEFAULT_PART_ROWS
    """Rows of the input per part, rejects among them."""
    limit: int | None = None
    """Rows of the input that are read at most; None: all."""
    shard: Shard = WHOLE

    def rows_of_part(self, number: int) -> int:
        """Give how many rows a part may take, 0 where the limit is reached."""
        if self.limit is None:
            return self.part_rows
        return max(0, min(self.part_rows, self.limit - number * self.part_rows))

    def to_record(self) -> dict[str, Any]:
        """Give the plan as JSON can hold it, with the versions that are at work and its digest."""
        record: dict[str, Any] = {
            "plan_version": PLAN_VERSION,
            **asdict(self),
            "versions": versions(with_parquet=self.write.output_format is OutputFormat.PARQUET),
        }
        # As JSON gives it back: a tuple is a list there.
        return dict(json.loads(json.dumps(record | {"digest": digest_of(record)})))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Plan:
        """Read what ``to_record`` gave.

        Raises:
            ValueError: If it is none.
        """
        try:
            if record["plan_version"] != PLAN_VERSION:
                msg = f"plan version {record['plan_version']!r}, this program reads {PLAN_VERSION}"
                raise ValueError(msg)
            if record["digest"] != digest_of(record):
                msg = "it was changed after it was written"
                raise ValueError(msg)
            shard = Shard(*record["shard"])
            if not 1 <= shard.number <= shard.of:
                msg = f"there is no shard {shard}"
                raise ValueError(msg)
            read, write = dict(record["read"]), dict(record["write"])
            chosen = read.pop("input_format")
            read["keep_columns"], write["kept_as"] = tuple(read["keep_columns"]), tuple(write["kept_as"])
            write["output_format"] = OutputFormat(write["output_format"])
            return cls(
                bundle=record["bundle"],
                read=ReadOptions(input_format=InputFormat(chosen) if chosen else None, **read),
                write=WriteOptions(**write),
                inputs=InputTotals(**record["inputs"]),
                check=InputCheck(record["check"]),
                part_rows=record["part_rows"],
                limit=record["limit"],
                shard=shard,
            )
        except (KeyError, TypeError, AttributeError) as error:
            msg = f"not a plan: {error}"
            raise ValueError(msg) from error


def digest_of(record: Mapping[str, Any]) -> str:
    """Name what a record says besides its digest, whichever shard it is of: that moves no byte of a part."""
    told = {key: value for key, value in record.items() if key not in ("shard", "digest")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def versions(*, with_parquet: bool = False) -> dict[str, str]:
    """Give the versions of what has a hand in the bytes of an output."""
    from importlib.metadata import (  # 20 ms that a first score need not wait for.
        PackageNotFoundError,
        version,
    )

    packages = ("resenha", "numpy", "onnxruntime", *(["pyarrow"] if with_parquet else []))
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def stamp_files(files: Iterable[InputFile], check: InputCheck) -> Iterator[PlannedFile]:
    """Yield each file with what it is now."""
    for file in files:
        yield PlannedFile(file, None if file.name == STDIN else stamp_of(file.name, check))


def write_listing(files: Iterable[PlannedFile], stream: BinaryIO) -> InputTotals:
    """Write the listing of the inputs, a line each, and add it up."""
    digest, count, size = hashlib.sha256(), 0, 0
    for planned in files:
        line = planned.to_line()
        stream.write(line)
        digest.update(line)
        count += 1
        size += planned.stamp.size if planned.stamp else 0
    return InputTotals(count, size, digest.hexdigest())


def check_listing(planned: Iterable[PlannedFile], found: Iterable[PlannedFile]) -> None:
    """Refuse inputs that are not those of a plan, naming the first that differs.

    Raises:
        PlanError: If one was added, removed or changed, or cannot be read a second time.
    """
    for was, now in zip_longest(planned, found):
        if was != now or was.file.name == STDIN:
            msg = f"{_difference(was, now)}; {_REMEDY}"
            raise PlanError(msg)


def _difference(was: PlannedFile | None, now: PlannedFile | None) -> str:
    if was is None or now is None:
        unpaired = was or now
        name = printable(unpaired.file.name) if unpaired else ""
        return f"{name} was not planned" if was is None else f"{name} is planned and not there any more"
    name = printable(was.file.name)
    if was.file != now.file:
        found = f"{printable(now.file.name)} ({now.file.input_format})"
        return f"{name} ({was.file.input_format}) is planned where {found} comes now"
    if was.file.name == STDIN:
        return "standard input cannot be read a second time"
    return f"{name}: found {now.stamp or 'nothing that can be read'}; planned {was.stamp or 'nothing'}"


def check_plan(planned: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with anything else than what was planned, inputs left out, naming what differs.

    Args:
        planned: Record of the directory's plan.
        now: Record of the plan that would be made now.

    Raises:
        PlanError: If they differ.
    """
    planned, now = ({key: plan[key] for key in plan if key not in _OF_INPUTS} for plan in (planned, now))
    unlike = [
        f"{name} is {_json(found)}, planned was {_json(was)}"
        for name, was, found in _pairs(planned, now)
        if was != found
    ]
    if unlike:
        msg = f"this is not the run that was planned: {printable('; '.join(unlike))}; {_REMEDY}"
        raise PlanError(msg)


_OF_INPUTS = ("inputs", "digest")
"""What of a plan follows from its inputs, which are compared one by one."""


def _pairs(planned: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the innermost names that either knows, with both values."""
    for key in dict.fromkeys([*planned, *now]):
        was, found = planned.get(key), now.get(key)
        if isinstance(was, dict) and isinstance(found, dict):
            yield from ((f"{key}.{name}", a, b) for name, a, b in _pairs(was, found))
        else:
            yield key, was, found


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
