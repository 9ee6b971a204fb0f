"""Small valid inputs of every kind, and what a seeded chance makes of them.

A mutant is named by its kind and its number: the same pair is the same bytes everywhere.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from pipeline.runtime.histograms import Histograms
from pipeline.runtime.lines import MAX_ROW_BYTES
from pipeline.runtime.reading import InputFormat
from pipeline.runtime.summary import Summary, summary_record

TEXT_FORMATS = [each for each in InputFormat if each is not InputFormat.PARQUET]
Step = Callable[[random.Random, bytearray, Sequence[bytes], Sequence[bytes]], None]
KINDS = (*map(str, InputFormat), "gz", "list", "summary")
LISTED = {
    b"a.txt": b"a good film",
    b"b.txt": b"bad\n",
    b"rows.jsonl": b'{"text": "good"}\n{}\n',
    b"rows.csv": b"id,text\n1,good\n2\n",
    b"d/c.txt": b"dull",
    b"d/e.txt.gz": gzip.compress(b"moving", 1, mtime=0),
    b"caf\xe9 [1].txt": b"good",
    b"-rf.txt": b"?!",
}
"""The files that a mutant list may name, below the folder it is read in."""

_SEEDS: dict[str, Sequence[bytes]] = {
    "text": [b"a good film\n", b"\xef\xbb\xbfnot bad", b"\xff\xfe" + "dull é\r\n".encode("utf-16-le"), b""],
    "lines": [
        b"a good film\nbad, dull\n\n?!\nmoving",
        b"one\r\ntwo\r\n\r\nthree\r\n",
        b"\xef\xbb\xbfgood\rbad\r\r",
        b"\xfe\xff" + "good\nbad é\n".encode("utf-16-be"),
    ],
    "csv": [
        b'id,text,more\n1,good,x\n2,"bad, dull",y\n3,"a ""good""\nfilm",z\n',
        b"text,id,more\r\ngood,=1,\r\n\r\n?!,2,3\r\n",
        "\ufefftext,more\ncafé,a\rgood,b".encode(),
        b"text,more\n",
    ],
    "tsv": [
        b"id\ttext\tmore\n1\tgood\tx\n2\tbad, dull\t7\n",
        b'text\tmore\r\n"a\tgood\r\nfilm"\t\r\n\r\n?!\t1\r\n',
    ],
    "jsonl": [
        b'{"text": "good", "id": 1, "more": [1, null]}\n\n{"text": "bad", "id": "x"}\n{"id": 2}\n',
        b'{"text": "caf\\u00e9 \\ud83c\\udfac", "more": 1.5e3}\r\n{"text": null}\r\n',
        b'\xef\xbb\xbf{"text": "dull", "more": true}\r[{"text": "good"}]',
        b'[{"text": "good"}, {"text": "bad"}]\n',
    ],
    "list": [
        b"a.txt\nrows.jsonl\nd\n",
        b"rows.csv\r\n\r\nb.txt\r\n",
        b"a.txt\0caf\xe9 [1].txt\0",
        b"*.txt\n",
        b"d/c.txt\nd/e.txt.gz\n-rf.txt",
    ],
}

_TOKENS: dict[str, Sequence[bytes]] = {
    "": [
        b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff",
        b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b\x0c", b"\x1f\x8b\x08", b"PAR1", b"-1", b"9" * 5_000, b"\n" * 1_001,
        b"good bad\n" * 300, b"x" * 70_000,
    ],
    "csv": [b'"', b'""', b",", b'"\n', b',"', b'",', b"=1", b'"' * 40, b"text", b"id,", b";", b'\n"a\rb",good,x\n'],
    "tsv": [b'"', b'""', b"\t", b'"\n', b'\t"', b'"\t', b"+1", b"text", b"id\t", b'\n"a\rb"\tgood\tx\n'],
    "jsonl": [
        b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\u", b"\\ud800", b'"\\udc00"', b"null", b"NaN", b"-Infinity",
        b"1e999", b'{"text": ""}', b'"id": ', b"[" * 100, b"\n" + b'{"a":' * 5_000, b'{"text": "good", "id": "a\\rb"}', b"\\", b'{"text": "good"}\n',
    ],
    "list": [b"*", b"?", b"[", b"**", b"-", b"a.txt\n", b"d", b".", b"..", b"\0\0", b"nothing\n"],
    "summary": [b'"', b"{", b"}", b"null", b"-1", b"NaN", b"1e3", b"9" * 20, b"[]", b"\\ud800", b"true", b"[" * 3_000],
}  # fmt: skip


def mutant(kind: str, number: int) -> bytes:
    """Give one mutant; every fortieth or so is a seed as it is."""
    source = random.Random(f"{kind} {number}")
    if kind == "gz":
        return _compressed_mutant(source, number)
    # Where every byte has its place, a mutant that moves them all is refused at once.
    steps = _STEPS_OF.get(kind, _STEPS) if source.random() < 0.8 else _STEPS
    content = _mutated(source, seeds(kind), _tokens(kind), steps)
    return _harmless(content) if kind == "list" else content


def gz_format(number: int) -> InputFormat:
    """Give the format of what the compressed mutant of a number holds: the same for a hundred in a row."""
    return TEXT_FORMATS[number // 100 % len(TEXT_FORMATS)]


@cache
def seeds(kind: str) -> Sequence[bytes]:
    """Give the valid inputs of a kind."""
    if kind == "parquet":
        return list(_parquet_seeds())
    if kind == "summary":
        return list(_summary_seeds())
    return _SEEDS[kind]


@cache
def _tokens(kind: str) -> Sequence[bytes]:
    return [*_TOKENS[""], *_TOKENS.get(kind, ()), *_TOKENS.get(kind, ())]


def _compressed_mutant(source: random.Random, number: int) -> bytes:
    """Compress a mutant, or make a mutant of what is compressed."""
    kind = str(gz_format(number))
    if source.random() < 0.3:
        return gzip.compress(_mutated(source, seeds(kind), _tokens(kind)), 1, mtime=0)
    return _mutated(source, _compressed_seeds(kind), _tokens(""))


@cache
def _compressed_seeds(kind: str) -> Sequence[bytes]:
    first, *others = (gzip.compress(seed, 6, mtime=0) for seed in seeds(kind))
    return [first, *others, first + others[0], first + bytes(16)]


def _harmless(names: bytes) -> bytes:
    """Keep a list below its own folder."""
    return names.replace(b"/", b"_").replace(b"d_", b"d/").replace(b"d/.", b"d/")


def _mutated(
    source: random.Random, kin: Sequence[bytes], tokens: Sequence[bytes], steps: Sequence[Step] | None = None
) -> bytes:
    content = bytearray(source.choice(kin))
    for _ in range(min(int(source.expovariate(0.5)) + (source.random() > 0.025), 6)):
        source.choice(steps or _STEPS)(source, content, kin, tokens)
    if source.random() < 0.001:
        place = _place(source, content)
        content[place:place] = b"x" * (MAX_ROW_BYTES + source.randint(-1, 1))
    return bytes(content)


def _place(source: random.Random, content: bytearray) -> int:
    return source.randrange(len(content) + 1)


def _range(source: random.Random, content: bytearray) -> tuple[int, int]:
    start = _place(source, content)
    longest = source.choice((1, 4, 16, len(content)))
    return start, min(len(content), start + source.randint(0, longest))


def _flip_bit(source: random.Random, content: bytearray, *_: Any) -> None:
    if content:
        content[source.randrange(len(content))] ^= 1 << source.randrange(8)


def _set_byte(source: random.Random, content: bytearray, *_: Any) -> None:
    if content:
        content[source.randrange(len(content))] = source.choice(
            (0, 1, 0x7F, 0x80, 0xFF, source.randrange(256))
        )


def _nudge_byte(source: random.Random, content: bytearray, *_: Any) -> None:
    if content:
        place = source.randrange(len(content))
        content[place] = (content[place] + source.choice((-2, -1, 1, 2))) % 256


def _insert_bytes(source: random.Random, content: bytearray, *_: Any) -> None:
    place = _place(source, content)
    content[place:place] = source.randbytes(source.choice((1, 1, 2, 8)))


def _insert_run(source: random.Random, content: bytearray, *_: Any) -> None:
    place = _place(source, content)
    content[place:place] = bytes([source.randrange(256)]) * source.choice((3, 30, 300))


def _delete(source: random.Random, content: bytearray, *_: Any) -> None:
    start, end = _range(source, content)
    del content[start:end]


def _duplicate(source: random.Random, content: bytearray, *_: Any) -> None:
    start, end = _range(source, content)
    content[end:end] = content[start:end] * source.choice((1, 1, 2, 7))


def _truncate(source: random.Random, content: bytearray, *_: Any) -> None:
    del content[_place(source, content) :]


def _splice(source: random.Random, content: bytearray, kin: Sequence[bytes], _tokens: Any) -> None:
    other = source.choice(kin)
    content[_place(source, content) :] = other[source.randrange(len(other) + 1) :]


def _insert_token(source: random.Random, content: bytearray, _kin: Any, tokens: Sequence[bytes]) -> None:
    place = _place(source, content)
    content[place:place] = source.choice(tokens)


def _replace_by_token(source: random.Random, content: bytearray, _kin: Any, tokens: Sequence[bytes]) -> None:
    start, end = _range(source, content)
    content[start:end] = source.choice(tokens)


_IN_PLACE: Sequence[Step] = (_flip_bit, _set_byte, _nudge_byte)
_STEPS: Sequence[Step] = (
    *_IN_PLACE, _insert_bytes, _insert_run, _delete, _duplicate, _truncate, _splice,
    _insert_token, _insert_token, _replace_by_token,
)  # fmt: skip


def _change_number(source: random.Random, content: bytearray, *_: Any) -> None:
    numbers = [*re.finditer(rb"[0-9]+", content)]
    if numbers:
        start, end = source.choice(numbers).span()
        content[start:end] = source.choice(
            (b"0", b"1", b"7", b"-1", b"1.0", b"null", b"99999999999999999999")
        )


_STEPS_OF = {"parquet": _IN_PLACE, "summary": (*_IN_PLACE, *[_change_number] * 6)}


def _counted() -> Summary:
    summary = Summary(
        rows_in=4, scored=3, rejected=Counter(no_tokens=1), labels=Counter(positive=3), tokens=9
    )
    summary.histograms.add(
        scores=np.array([0.1, 0.6, 0.9]), tokens=np.array([1, 2, 6]), unknown_share=np.array([0, 0.5, 1])
    )
    return summary


def _summary_seeds() -> Sequence[bytes]:
    pages = []
    for reference in (Histograms().to_record(), None):
        page = summary_record(_counted(), {"name": "stand-in", "digest": "ab" * 32}, reference, {"parts": 1})
        pages.append(json.dumps(page).encode())
    indented = json.dumps(json.loads(pages[0]), indent=2).encode()
    return [*pages, b"\xef\xbb\xbf" + indented, gzip.compress(pages[0], 1, mtime=0)]


def _parquet_seeds() -> Sequence[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ["a good film", "bad", None, "?!", "moving é", "dull"]
    plain = pa.table({"text": texts, "id": ["1", None, "3", "=4", "5", "6"], "more": [1, 2, None, 4, 5, 6]})
    coded = plain.set_column(0, "text", plain["text"].dictionary_encode())
    bare = pa.table(
        {"text": pa.array([b"good", b"\xff\xfe", b"bad"], pa.binary()).cast(pa.string(), safe=False)}
    )
    kinds: list[tuple[Any, dict[str, Any]]] = [
        (plain, {"compression": "none"}),
        (plain, {"compression": "snappy", "row_group_size": 2, "write_page_checksum": True}),
        (coded, {"compression": "zstd", "data_page_version": "2.0"}),
        (plain.slice(0, 0), {"compression": "none"}),
        (bare.append_column("more", pa.array([1.5, None, 2.5])), {"compression": "gzip", "use_dictionary": False}),
    ]  # fmt: skip
    found = []
    for table, options in kinds:
        stream = io.BytesIO()
        pq.write_table(table, stream, **options)
        found.append(stream.getvalue())
    return found
