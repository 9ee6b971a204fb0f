"""The one text rule: a review's text to token ids, the same in training and at the edge.

The rule is that of ``keras.preprocessing.text.text_to_word_sequence`` with its defaults:
lower case (``str.lower``), each of Keras's filter characters becomes a blank, and the text is
split at blanks (U+0020 only: a no-break space or U+0085 stays inside its word).

``split_words`` says it in one line. ``Tokenizer`` does the same to UTF-8, without a Python object
for any word, and the tests hold the two together.

Ids are those of ``keras.datasets.imdb``: 0 pads, 1 starts a review, 2 stands for every unknown
word, and the word of rank *r* (1 is the most frequent) has the id *r* + 3; id 3 is never used.
``num_words`` counts all ids, so the words kept are those of ranks 1 to ``num_words`` - 4.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BundleError
from pipeline.runtime.word_table import BLOCK, Words, WordTable

START_ID = 1
UNKNOWN_ID = 2
INDEX_FROM = 3
"""Added to a word's rank to give its id, as ``index_from`` of ``keras.datasets.imdb``."""

KERAS_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
# A pattern of text is compiled when it is first needed, and kept by ``re``.
_WORD = f"[^{re.escape(KERAS_FILTERS)} ]+"
# Possessive, so that blanks without end behind a "<br" take no more than their time.
_BREAK = r"<br[ \t]*+/?[ \t]*+>"
_ONLY_BREAKS = re.compile(f"(?:{_BREAK}|[{re.escape(KERAS_FILTERS)} ])*+", re.IGNORECASE)

_CHUNK = 1 << 18
"""Bytes of text that are worked on at once: few enough for a processor's cache (measured)."""
_ASCII = bytes(range(0x80))
# Two bytes that never stand in UTF-8: for a NUL, which fills up blocks, and for the start mark.
_TO_LOWER_AND_BLANKS = (
    bytes(range(0x100))
    .lower()
    .translate(bytes.maketrans(KERAS_FILTERS.encode() + b"\0", b" " * len(KERAS_FILTERS) + b"\xc0"))
)
_BEFORE_REVIEW = b" \xc1 "
_BEHIND_TEXT = b" " * (1 + BLOCK)

HtmlBreaks = Literal["keep", "blank"]


@dataclass(frozen=True)
class TextRule:
    """Everything beside the words themselves that decides a review's token ids."""

    num_words: int
    """Number of ids, the ids 0 to 3 included; also the rows of the embedding."""
    max_length: int
    """Ids a review is cut to; the last ones are kept."""
    html_breaks: HtmlBreaks
    """``keep``: ``<br />`` leaves the word ``br``, as in Keras; ``blank``: it leaves a blank."""


@dataclass(frozen=True, slots=True)
class TokenizedBatch:
    """Reviews as the network will see them, before padding; the arrays have a place per review."""

    token_ids: NDArray[np.int32]
    """The ids of all reviews, one review after the other: the start mark and the words, cut to the
    last ``max_length``; none of a review that holds no word."""
    offsets: NDArray[np.int64]
    """Where each review's ids begin, and at the end where the last one's end: one place more."""
    tokens: NDArray[np.int64]
    """Words in the whole review, before cutting; the start mark is not counted."""
    unknown: NDArray[np.int64]
    """How many of those words are not in the vocabulary."""
    truncated: NDArray[np.bool_]
    """Whether ids were cut away."""

    def __len__(self) -> int:
        """Give the number of reviews."""
        return len(self.tokens)


def blank_html_breaks(text: str) -> str:
    """Put a blank in the place of each ``<br>``, ``<br/>`` or ``<br />``, in either case."""
    return re.sub(_BREAK, " ", text, flags=re.IGNORECASE)


def split_words(text: str, html_breaks: HtmlBreaks) -> list[str]:
    """Split a review into lower-case words by the rule in this module's docstring."""
    if html_breaks == "blank":
        text = blank_html_breaks(text)
    return re.findall(_WORD, text.lower())


def unknown_shares(unknown: NDArray[np.integer], tokens: NDArray[np.integer]) -> NDArray[np.float64]:
    """Give the share of each review's words that are not in the vocabulary, rounded to four digits.

    Args:
        unknown: Unknown words per review, shape ``(reviews,)``.
        tokens: All of its words, the same shape; a review without a word has a share of 0.
    """
    shares: NDArray[np.float64] = np.round(unknown / np.maximum(tokens, 1), 4)
    return shares


def rank_words(counts: Mapping[str, int]) -> list[str]:
    """Order words by falling frequency; ties by code points, so that input order is irrelevant."""
    return sorted(counts, key=lambda word: (-counts[word], word))


def count_words(reviews: Iterable[str], html_breaks: HtmlBreaks) -> Counter[str]:
    """Count every word of every review."""
    counts: Counter[str] = Counter()
    for review in reviews:
        counts.update(split_words(review, html_breaks))
    return counts


class Tokenizer:
    """A text rule with its words, ready to turn reviews into token ids.

    Args:
        rule: The text rule.
        words: The vocabulary in the order of rank; those beyond ``num_words`` are left out.

    Raises:
        BundleError: If a word stands twice, or is one that the rule could never produce.
    """

    def __init__(self, rule: TextRule, words: Sequence[str]) -> None:
        self.rule = rule
        self.words = tuple(words[: rule.num_words - INDEX_FROM - 1])
        _check_words(self.words)
        ids = np.arange(INDEX_FROM, INDEX_FROM + len(self.words) + 1, dtype=np.int32)
        ids[0] = START_ID
        text = _as_text([" ".join(self.words).encode("utf-8", "surrogatepass")])
        self._table = WordTable(Words.find(text, 0, len(text) - BLOCK), ids, unknown=UNKNOWN_ID)

    def encode_batch(self, reviews: Sequence[str]) -> TokenizedBatch:
        """Turn reviews into token ids, each as if it were alone.

        The rule is that of ``split_words``, on UTF-8 and on all words of a chunk at once. Beside its
        result, a batch takes up to eleven times the bytes of its largest review (measured on one of
        16 MB, unknown words of one letter) and some chunks.
        """
        batches = [self._encode_text(text) for text in self._texts(reviews)]
        return _join(batches or [_cut(np.zeros(0, np.int32), self.rule.max_length)])

    def _encode_text(self, text: bytes) -> TokenizedBatch:
        ids = [self._table.find(Words.find(text, begin, end)) for begin, end in _stretches(text)]
        return _cut(ids[0] if len(ids) == 1 else np.concatenate(ids), self.rule.max_length)

    def _texts(self, reviews: Iterable[str]) -> Iterator[bytes]:
        """Join reviews into texts of about a chunk; one that is larger makes a text by itself."""
        held: list[bytes] = []
        size = 0
        for review in reviews:
            utf8 = self._utf8(review)
            if held and size + len(utf8) > _CHUNK:
                yield _as_text(held)
                held, size = [], 0
            held.append(utf8)
            size += len(utf8) + len(_BEFORE_REVIEW)
        if held:
            yield _as_text(held)

    def _utf8(self, review: str) -> bytes:
        """Do what one byte by itself cannot tell: markup, and lower case beyond ASCII."""
        if self.rule.html_breaks == "blank":
            review = blank_html_breaks(review)
        elif _ONLY_BREAKS.fullmatch(review):
            return b""
        return _lower_beyond_ascii(review)


def _check_words(words: Sequence[str]) -> None:
    """Refuse a vocabulary with a word that stands twice or that the rule never produces."""
    if len(set(words)) != len(words):
        word, _ = Counter(words).most_common(1)[0]
        msg = f"the vocabulary holds {word!r} twice; each word needs a rank of its own"
        raise BundleError(msg)
    joined = " ".join(words)
    is_lower = _lower_beyond_ascii(joined).translate(_TO_LOWER_AND_BLANKS) == joined.encode(
        "utf-8", "replace"
    )
    if is_lower and all(words) and joined.count(" ") == len(words) - 1:
        return
    for word in words:
        if split_words(word, "keep") == [word]:
            continue
        msg = f"the vocabulary holds {word!r}, which the text rule never produces"
        raise BundleError(msg)


def _lower_beyond_ascii(text: str) -> bytes:
    """Encode a text in lower case, but for ASCII letters, which may stay as they are."""
    utf8 = text.encode("utf-8", "surrogatepass")
    if len(utf8) == len(text):
        return utf8
    # Most such texts hold a few accents and quotation marks, none of them upper case, and to see that
    # takes a third of the time of lower() on the whole text. What lower() makes of a character
    # depends on its neighbours for a capital sigma alone, and that one never stays as it is.
    beyond = utf8.translate(None, _ASCII).decode("utf-8", "surrogatepass")
    return utf8 if beyond == beyond.lower() else text.lower().encode("utf-8", "surrogatepass")


def _as_text(reviews: Sequence[bytes]) -> bytes:
    """Join reviews, a mark before each, and turn all but words into blanks."""
    text = _BEFORE_REVIEW + _BEFORE_REVIEW.join(reviews) + _BEHIND_TEXT
    return text.translate(_TO_LOWER_AND_BLANKS)


def _stretches(text: bytes) -> Iterator[tuple[int, int]]:
    """Cut a text at blanks into stretches of at most a chunk, or of one word if that is longer."""
    begin, last = 0, len(text) - BLOCK
    while begin < last:
        end = min(begin + _CHUNK, last)
        blank = text.rfind(b" ", begin + 1, end + 1)
        end = blank if blank > begin else text.index(b" ", end)
        yield begin, end
        begin = end


def _cut(ids: NDArray[np.int32], max_length: int) -> TokenizedBatch:
    """Cut reviews, each with its start mark, to their last ids; a mark alone is no review."""
    starts = np.flatnonzero(ids == START_ID)
    ends = np.append(starts[1:], len(ids))
    tokens = ends - starts - 1
    kept = np.minimum(tokens + 1, max_length) * (tokens > 0)
    offsets = _offsets(kept)
    unknown = np.searchsorted(np.flatnonzero(ids == UNKNOWN_ID), np.append(starts, len(ids)))
    if offsets[-1] < len(ids):
        ids = ids[np.arange(offsets[-1]) + np.repeat(ends - offsets[1:], kept)]
    return TokenizedBatch(ids, offsets, tokens, np.diff(unknown), tokens + 1 > max_length)


def _join(batches: Sequence[TokenizedBatch]) -> TokenizedBatch:
    if len(batches) == 1:
        return batches[0]
    return TokenizedBatch(
        np.concatenate([batch.token_ids for batch in batches]),
        _offsets(np.concatenate([np.diff(batch.offsets) for batch in batches])),
        np.concatenate([batch.tokens for batch in batches]),
        np.concatenate([batch.unknown for batch in batches]),
        np.concatenate([batch.truncated for batch in batches]),
    )


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)])
