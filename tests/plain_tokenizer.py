"""The text rule in the plainest Python there is: what the quick way has to agree with."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.runtime.text import TextRule, TokenizedBatch, Tokenizer

_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


class TokenizedReview(NamedTuple):
    """One review's share of a ``TokenizedBatch``."""

    token_ids: list[int]
    tokens: int
    unknown: int
    truncated: bool


def _words(text: str, html_breaks: str) -> list[str]:
    if html_breaks == "blank":
        text = re.sub("<[bB][rR][ \t]*/?[ \t]*>", " ", text)
    text = text.lower()
    for character in _FILTERS:
        text = text.replace(character, " ")
    return [word for word in text.split(" ") if word]


def encode_plainly(rule: TextRule, words: Sequence[str], reviews: Sequence[str]) -> list[TokenizedReview]:
    """Turn reviews into token ids, word by word."""
    ids_of = {word: rank + 3 for rank, word in enumerate(words[: rule.num_words - 4], start=1)}
    encoded = []
    for review in reviews:
        found = _words(review, rule.html_breaks)
        # Line breaks and nothing else are no review, though each leaves the word "br".
        if set(found) == {"br"} and not _words(review, "blank"):
            found = []
        ids = [1] * bool(found) + [ids_of.get(word, 2) for word in found]
        encoded.append(
            TokenizedReview(
                ids[-rule.max_length :],
                tokens=len(found),
                unknown=ids.count(2),
                truncated=len(ids) > rule.max_length,
            )
        )
    return encoded


def taken_apart(batch: TokenizedBatch) -> list[TokenizedReview]:
    """Give a batch's reviews one by one."""
    ids, offsets = batch.token_ids.tolist(), batch.offsets.tolist()
    return [
        TokenizedReview(ids[begin:end], tokens, unknown, truncated)
        for begin, end, tokens, unknown, truncated in zip(
            offsets[:-1],
            offsets[1:],
            batch.tokens.tolist(),
            batch.unknown.tolist(),
            batch.truncated.tolist(),
            strict=True,
        )
    ]


def encode_one(tokenizer: Tokenizer, review: str) -> TokenizedReview:
    """Turn one review into token ids, by itself."""
    [encoded] = taken_apart(tokenizer.encode_batch([review]))
    return encoded


def random_review(source: random.Random, words: Sequence[str]) -> str:
    """Make up to 30 pieces: words of the vocabulary whole, cut or lengthened, and any characters."""
    makers = (
        lambda: source.choice(words),
        lambda: source.choice(words).upper(),
        lambda: source.choice(words)[: source.randint(1, 9)],
        lambda: source.choice(words) + source.choice(words),
        lambda: chr(source.randrange(0x80)),
        lambda: chr(source.randrange(0x100)),
        lambda: chr(source.randrange(0x250)),
        lambda: chr(source.randrange(0x370, 0x530)),
        lambda: chr(source.randrange(0xD800, 0xE000)),
        lambda: chr(source.randrange(0x110000)),
        lambda: source.choice(
            ("<br />", "<BR>", "<br", "İ", "Σ", "ς", "ΑΣ", "ß", "ﬁ", "K", "é", "e\u0301", "👍🏽")
        ),
        lambda: source.choice(" \t\n.,!\0\r\x0b\x85\xa0\u3000\u2028\u200f"),
        lambda: " ",
        lambda: source.choice(_FILTERS),
    )
    return "".join([source.choice(makers)() for _ in range(source.randint(0, 30))])
