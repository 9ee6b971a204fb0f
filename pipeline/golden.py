"""Golden reviews: made here, never taken from anyone's data, so that a bundle can travel freely."""

from __future__ import annotations

import random
from collections.abc import Sequence

_TEXTS = (
    "A quiet, moving film.",
    "Dull, clumsy and far too long.",
    "Everyone told me it was dull; they were wrong.",
    "It is not bad at all.<br /><br />I would see it again!",
    "I want my two hours back... 3/10",
    "UPPER CASE, Mixed Case and lower case",
    "tabs\tand\nline ends\r\nand a lone \r return",
    "don't won't can't — typographic ‘quotes’ “too” and it’s",
    "café, and cafe\u0301 with a combining accent",
    "ÉTONNANT, ÜBERRAGEND, ВЕЛИКОЛЕПНО, ΑΡΙΣΤΟΥΡΓΗΜΑΣ",
    "İstanbul has a dotted capital",
    "full-width ＧＯＯＤ and ligature ﬁlm",
    "no-break\u00a0space, next\u0085line, line\u2028separator, vertical\u000btab",
    "素晴らしい映画でした。",
    "فيلم رائع",
    "👍👍 10/10 👎",
    "zero\u200bwidth and bi\u202edi marks",
    "xyzzy plugh frobnicate",
    "<br /><br />",
    "?!…",
    "",
)
_LENGTHS = (1, 2, 3, 10, 50)
_FREQUENT = 100


def golden_reviews(words: Sequence[str], max_length: int) -> list[str]:
    """Give reviews that exercise a text rule, a vocabulary and a network.

    Args:
        words: The vocabulary in the order of rank.
        max_length: Ids a review is cut to.

    Returns:
        Fixed sentences, and word salads out of the vocabulary; the last one, of frequent words since
        those are short, is an id beyond the limit.
    """
    source = random.Random(len(words))
    salads = [" ".join(source.choices(words, k=length)) for length in _LENGTHS]
    longest = " ".join(source.choices(words[:_FREQUENT], k=max_length))
    return [*_TEXTS, *salads, longest]
