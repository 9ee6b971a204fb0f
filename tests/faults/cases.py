"""Every case of the contract on faults, in its words, and the mark with which a test says its case.

``python -m pytest -p tests.faults.case_table`` runs what is marked and prints how each case fared.
"""

from __future__ import annotations

import pytest

CASES: dict[str, dict[str, str]] = {
    "Promises": {
        "P1 conservation": "in a finished run rows_in = scored + rejected, per source and in total, and "
        "each (source, row) stands exactly once in the output or in the rejects",
        "P2 exactly once": "after any number of kill -9 and resumes, a directory output is byte-identical "
        "to an uninterrupted run with the same bundle, inputs, options and versions",
        "P3 atomic": "a reader never sees a final name with partial content; _SUCCESS comes last",
        "P4 durable": "when exit status 0 was returned, the output survives power loss (file and "
        "directory synced)",
        "P5 bounded memory": "peak memory does not depend on the number of rows or files, nor on the "
        "longest line",
        "P6 no poison row": "a bad row or file costs that row or file, never the run (unless past "
        "--max-rejects)",
        "P7 loud": "every reject, skip and cut is counted in the summary and shows in the exit status or "
        "was asked for by an option",
        "P8 streaming": "stdin → stdout: complete lines, input order, an exact prefix if it stops; no "
        "resume",
        "P9 no silent mixing": "a resume with another bundle, other inputs or other options is refused",
        "P10 one writer": "a second run on the same output directory is refused; a killed run leaves no "
        "lock behind",
        "P11 safe loading": "loading a bundle reads only that bundle's files, runs no code from it, and "
        "refuses one that is not byte for byte what was published",
    },
    "Exit statuses": {
        "0": "all scored",
        "1": "unexpected failure",
        "2": "wrong usage, or an input named on the command line that is not there",
        "3": "finished, some rows or files rejected",
        "4": "stopped: too many rejects",
        "5": "bundle refused",
        "6": "input/output failure (disk full, no permission, broken disk)",
        "7": "output directory in use",
        "8": "resume refused",
        "130/143": "interrupted",
        "reader closed the pipe": "stop at once, no traceback",
    },
    "Rows and text": {
        "empty text": "reject no_tokens",
        "only blanks, punctuation or markup": "reject no_tokens",
        "every word unknown": "scored; unknown_share is 1.0",
        "UTF-8 byte-order mark": "read as text, same score as the plain file",
        "UTF-16 with a mark": "read as text, same score as the plain file",
        "bytes that are not UTF-8": "reject invalid_encoding with the byte offset",
        "--encoding latin-1": "reads them",
        "NUL bytes": "reject binary",
        "a PNG named .txt": "reject binary",
        'lone surrogate from JSON "\\ud800"': "reject, no crash when writing",
        "combining vs composed accents": "as the bundle's text rule says, the same on every machine; "
        "golden rows hold it",
        "curly apostrophes": "as the bundle's text rule says; golden rows hold it",
        "full-width letters": "as the bundle's text rule says; golden rows hold it",
        "U+2028, U+0085, vertical tab, form feed inside a row": "not a row border",
        "1 GB without a line end": "reject too_long, memory bounded, the next line is read correctly",
        "CRLF": "same rows, the last one not lost",
        "lone CR": "same rows, the last one not lost",
        "no line end at the end": "same rows, the last one not lost",
        "longer than the bundle's max_length": "scored as training cut it; truncated is true and counted",
    },
    "CSV / TSV": {
        "quoted line ends, commas and doubled quotes": "are one row",
        "a quote never closed": "reject with the line where it opened, and no silent swallowing of the rest",
        "too few or too many columns": "reject column_count",
        "text column missing": "exit 2 before any scoring, naming the columns found",
        "text column twice": "exit 2 before any scoring, naming the columns found",
        "header only": "exit 0, valid empty output",
        "delimiter only by option": "",
        "ids that start with =, +, -, @": "are neutralised in CSV output",
    },
    "JSON lines": {
        "malformed line": "reject bad_json, the next line is fine",
        "text null, number, list or missing": "reject text_not_string",
        "blank lines": "skipped and counted",
        "duplicate ids": "all scored and counted",
        "a whole JSON array named .jsonl": "one hint, not a million rejects",
        "very deep nesting": "a reject",
        "absurd integers": "a reject",
    },
    "Compressed and columnar": {
        "truncated .gz": "a rejected file",
        "corrupted .gz": "a rejected file",
        "a bomb (1000:1)": "refused, memory and disk bounded",
        "compression is recognised by content, not by name": "",
        "Parquet without a footer": "file reject",
        "Parquet with a missing text column": "exit 2",
        "Parquet with a wrongly typed text column": "exit 2",
        "Parquet with nulls": "row reject",
        "Parquet with zero rows": "fine",
        "Parquet support not installed": "exit 2 naming the extra; all other formats still work",
    },
    "File system": {
        "missing input": "exit 2",
        "no permission on one file": "that file is skipped, the others are scored, exit 3",
        "FIFO, socket, device, directory where a file was named": "never blocks",
        "symlink loops": "end",
        "file names that are not UTF-8": "scored, reported without loss",
        "file names with line ends, quotes, a leading dash": "scored, reported without loss",
        "a million files in one directory": "bounded memory, fixed order",
        "output that exists and is not ours": "refused without --overwrite",
    },
    "Process and disk": {
        "kill -9 at any point": "",
        "SIGTERM during a batch": "stops within 2 s, can be resumed",
        "disk full on a part": "exit 6, published parts intact, the message names the path",
        "disk full on the rejects": "exit 6, published parts intact, the message names the path",
        "disk full on the summary": "exit 6, published parts intact, the message names the path",
        "disk full on stdout (/dev/full)": "exit 6",
        "a failing fsync": "is never reported as success",
        "zero rows in a batch": "the session is not called",
        "token id −1": "refused by us",
    },
    "Bundle": {
        "any flipped byte": "exit 5 naming file and check",
        "a missing file": "exit 5 naming file and check",
        "an extra file": "exit 5 naming file and check",
        "a replaced file": "exit 5 naming file and check",
        "a symlink": "exit 5 naming file and check",
        "a manifest with an unknown format version": "exit 5",
        "a manifest with an unknown key": "exit 5",
        "a manifest with a path outside the folder": "exit 5",
        "a graph with external data": "exit 5",
        "a graph with foreign operator domains": "exit 5",
        "a graph with functions": "exit 5",
        "vocabulary size ≠ table rows": "exit 5",
        "the golden self-test gives other scores on this machine": "exit 5",
        "NaN for a row": "reject not_finite",
    },
    "Pipeline": {
        "download: 404": "bounded attempts and time, nothing under the final name, a clear message",
        "download: 500": "bounded attempts and time, nothing under the final name, a clear message",
        "download: time-out": "bounded attempts and time, nothing under the final name, a clear message",
        "download: short body": "bounded attempts and time, nothing under the final name, a clear message",
        "download: wrong checksum": "bounded attempts and time, nothing under the final name, a clear message",
        "download: redirect loop": "bounded attempts and time, nothing under the final name, a clear message",
        "a verified cached file": "needs no network",
        "a cached file that rotted": "is noticed",
        "imdb.npz": "is read without running pickled code",
        "training that turns NaN": "no bundle is published, artifacts/ keeps the old one",
        "training that collapses to one class": "no bundle is published, artifacts/ keeps the old one",
        "training that ends at chance": "no bundle is published, artifacts/ keeps the old one",
        "training that ends below chance": "no bundle is published, artifacts/ keeps the old one",
        "parity broken by one weight moved 1e-3": "no bundle",
        "kill -9 in any stage, then again": "only what was not finished runs",
        "two runs at once": "artifacts/current always loads",
    },
}  # fmt: skip


def case(section: str, words: str) -> pytest.MarkDecorator:
    """Give the mark of a test that holds a case; a test may hold several.

    Raises:
        KeyError: If the contract has no such case.
    """
    CASES[section][words]
    return pytest.mark.case(section, words)
