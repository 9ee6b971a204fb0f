"""Which columns of a CSV file mean what."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.runtime.delimited import Record
from pipeline.runtime.reading import ReadOptions
from pipeline.runtime.rows import Reject, RejectCode, Row, printable

_SHOWN_NAME, _SHOWN_NAMES = 40, 50
"""Characters of a column's name, and names, that a message shows: what has no header begins with a review."""


@dataclass(frozen=True)
class Columns:
    """Which of a record's fields mean what."""

    width: int
    text: int
    id: int | None
    kept: tuple[int, ...]

    @classmethod
    def find(cls, name: str, header: list[str], options: ReadOptions) -> Columns:
        """Find the columns that the options name in a header.

        Raises:
            UsageError: If one is missing, or there twice.
        """

        def place_of(column: str, option: str) -> int:
            if header.count(column) == 1:
                return header.index(column)
            found = _shown(header)
            what = "more than one column" if column in header else "no column"
            hint = f"{option} names the one to use"
            if len(header) == 1:
                hint += "; if this is several columns in one, --delimiter says what stands between them"
            msg = f"{printable(name)} has {what} {printable(column)!r}; its columns are: {found} ({hint})"
            raise UsageError(msg)

        text = place_of(options.text_column, "--text-column")
        kept = tuple(place_of(column, "--keep-columns") for column in options.keep_columns)
        is_named = options.id_column is not None or "id" in header
        review_id = place_of(options.id_column or "id", "--id-column") if is_named else None
        return cls(len(header), text, review_id, kept)

    def row_of(self, source: str, row: int, record: Record) -> Row | Reject:
        """Give a record as a row, or say why it is none."""
        line, fields, code, message, offset = record
        if fields is None:
            return Reject(source, row, code or RejectCode.UNCLOSED_QUOTE, message, line, offset)
        if len(fields) != self.width:
            found = f"{len(fields)} columns, the header has {self.width}"
            return Reject(source, row, RejectCode.COLUMN_COUNT, found, line)
        review_id = None if self.id is None else fields[self.id]
        kept = tuple([fields[place] for place in self.kept]) if self.kept else ()
        return Row(source, row, review_id, fields[self.text], kept, line)


def _shown(header: list[str]) -> str:
    names = [name if len(name) <= _SHOWN_NAME else f"{name[:_SHOWN_NAME]}…" for name in header[:_SHOWN_NAMES]]
    more = [f"and {len(header) - _SHOWN_NAMES:,} more"] if len(header) > _SHOWN_NAMES else []
    return ", ".join(map(printable, [*names, *more]))
