"""The one text rule: a review's text to token ids, the same in training and at the edge.

The rule is that of ``keras.preprocessing.text.text_to_word_sequence`` with its defaults:
lower case (``str.lower``), each of Keras's filter characters becomes a blank, and the text is
split at blanks (U+0020 only: a no-break space or U+0085 stays inside its word).

Ids are those of ``keras.datasets.imdb``: 0 pads, 1 starts a review, 2 stands for every unknown
word, and the word of rank *r* (1 is the most frequent) has the id *r* + 3; id 3 is never used.
``num_words`` counts all ids, so the words kept are those of ranks 1 to ``num_words`` - 4.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import BundleError

START_ID = 1
UNKNOWN_ID = 2
INDEX_FROM = 3
"""Added to a word's rank to give its id, as ``index_from`` of ``keras.datasets.imdb``."""

KERAS_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_FILTERS_TO_BLANKS = str.maketrans(dict.fromkeys(KERAS_FILTERS, " "))
_HTML_BREAK = re.compile(r"<br[ \t]*/?[ \t]*>", re.IGNORECASE)
_BREAK_WORD = "br"

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
class TokenizedReview:
    """One review as the network will see it, before padding."""

    token_ids: Sequence[int]
    """The start mark and the words, cut to the last ``max_length``; empty if there is no word."""
    tokens: int
    """Words in the whole review, before cutting; the start mark is not counted."""
    unknown: int
    """How many of those words are not in the vocabulary."""
    truncated: bool
    """Whether ids were cut away."""


def blank_html_breaks(text: str) -> str:
    """Put a blank in the place of each ``<br>``, ``<br/>`` or ``<br />``, in either case."""
    return _HTML_BREAK.sub(" ", text)


def split_words(text: str, html_breaks: HtmlBreaks) -> list[str]:
    """Split a review into lower-case words by the rule in this module's docstring."""
    if html_breaks == "blank":
        text = blank_html_breaks(text)
    return [word for word in text.lower().translate(_FILTERS_TO_BLANKS).split(" ") if word]


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
        self._ids = {word: rank + INDEX_FROM for rank, word in enumerate(self.words, start=1)}
        if len(self._ids) != len(self.words):
            word, _ = Counter(self.words).most_common(1)[0]
            msg = f"the vocabulary holds {word!r} twice; each word needs a rank of its own"
            raise BundleError(msg)
        for word in self.words:
            if split_words(word, "keep") != [word]:
                msg = f"the vocabulary holds {word!r}, which the text rule never produces"
                raise BundleError(msg)

    def encode(self, review: str) -> TokenizedReview:
        """Turn one review into token ids; a review without a word has no ids at all."""
        words = split_words(review, self.rule.html_breaks)
        if not words or self._holds_only_breaks(review, words):
            return TokenizedReview((), tokens=0, unknown=0, truncated=False)
        find = self._ids.get
        ids = [START_ID, *(find(word, UNKNOWN_ID) for word in words)]
        return TokenizedReview(
            ids[-self.rule.max_length :],
            tokens=len(words),
            unknown=ids.count(UNKNOWN_ID),
            truncated=len(ids) > self.rule.max_length,
        )

    @staticmethod
    def _holds_only_breaks(review: str, words: list[str]) -> bool:
        return all(word == _BREAK_WORD for word in words) and not split_words(review, "blank")
