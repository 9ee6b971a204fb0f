"""The table of words, held against a dictionary, with every chance to take one word for another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runtime import word_table
from pipeline.runtime.word_table import BLOCK, Slots, Words, WordTable

UNKNOWN = 2
# Two letters make words that begin, go on and end as others do; 255 and 0 stand in no word.
WORD = st.text("ab", min_size=1, max_size=3 * BLOCK + 2).map(str.encode) | st.lists(
    st.sampled_from([1, 0x1F, 0x21, 0x7F, 0x80, 0xFE]), min_size=1, max_size=2 * BLOCK + 1
).map(bytes)


def words_of(words: Sequence[bytes]) -> Words:
    text = b" " + b" ".join(words) + b" " * (1 + BLOCK)
    return Words.find(text, 0, len(text) - BLOCK)


def table_of(words: Sequence[bytes]) -> WordTable:
    return WordTable(words_of(words), np.arange(4, 4 + len(words), dtype=np.int32), unknown=UNKNOWN)


def ids_of(vocabulary: Sequence[bytes], asked: Sequence[bytes]) -> list[int]:
    known = {word: rank for rank, word in enumerate(vocabulary, start=4)}
    return [known.get(word, UNKNOWN) for word in asked]


@pytest.mark.parametrize("behind", [b"", b"film"], ids=["blanks behind", "a word behind"])
def test_words_stand_between_blanks(behind: bytes) -> None:
    text = b"x  good  bad  " + behind + b"        "
    found = Words.find(text, 1, 13)
    starts = [2 + place for place in found.starts.tolist()]
    assert [text[a : a + b] for a, b in zip(starts, found.lengths.tolist(), strict=True)] == [b"good", b"bad"]


def test_blanks_alone_hold_no_word() -> None:
    found = Words.find(b" " * 20, 0, 12)
    assert len(found.lengths) == 0
    assert table_of([b"good"]).find(found).tolist() == []


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 17, 23, 24, 25])
def test_a_word_is_known_at_its_full_length_alone(length: int) -> None:
    word = (b"abcdefghijklmnopqrstuvwxyz")[:length]
    near = [word, word[:-1] or b"b", word + b"z", word[:-1] + b"Z", b"Z" + word[1:], word * 2]
    assert table_of([word]).find(words_of(near)).tolist() == [4, *[UNKNOWN] * 5]


def test_what_a_known_word_begins_or_ends_with_is_no_word_by_itself() -> None:
    asked = [b"abcdefgh", b"ijklmnop", b"qr", b"abcdefghijklmnop", b"ijklmnopqr", b"abcdefghqr"]
    assert table_of([b"abcdefghijklmnopqr"]).find(words_of(asked)).tolist() == [UNKNOWN] * 6


def test_a_word_much_longer_than_any_known_one_is_not_followed_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = table_of([b"abcdefghi"])
    looked_up: list[int] = []
    keys = Words.keys

    def keys_that_tell(self: Words, number: int, which: Any) -> Any:
        looked_up.append(number)
        return keys(self, number, which)

    monkeypatch.setattr(Words, "keys", keys_that_tell)
    assert table.find(words_of([b"abcdefghi" * 1000, b"abcdefgh" * 1000])).tolist() == [UNKNOWN] * 2
    assert looked_up == [1]


@pytest.mark.parametrize("multiplier", [None, 0, 1, 1 << 63], ids=["as it is", "0", "1", "2**63"])
@settings(deadline=None)
@given(st.lists(WORD, unique=True, max_size=40), st.lists(WORD, max_size=40))
def test_ids_are_those_of_a_dictionary_however_words_collide(
    multiplier: int | None, vocabulary: list[bytes], others: list[bytes]
) -> None:
    """With the multiplier 0 every key wants the same slot."""
    with pytest.MonkeyPatch.context() as patch:
        if multiplier is not None:
            patch.setattr(word_table, "_MULTIPLIER", np.uint64(multiplier))
        asked = [
            *vocabulary,
            *others,
            *(word + b"a" for word in vocabulary),
            *(word[:-1] for word in vocabulary),
        ]
        asked = [word for word in asked if word]
        assert table_of(vocabulary).find(words_of(asked)).tolist() == ids_of(vocabulary, asked)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 2)), st.lists(st.integers(0, 2**64 - 2)))
def test_a_key_has_one_slot_and_shares_it_with_no_other(known: list[int], others: list[int]) -> None:
    slots = Slots(len(known))
    taken = slots.add(np.array(known, dtype=np.uint64))
    assert len(set(taken.tolist())) == len(set(known))
    asked = np.array(known + others, dtype=np.uint64)
    assert slots.find(np.array(known, dtype=np.uint64)).tolist() == taken.tolist()
    assert slots.are_free(slots.find(asked)).tolist() == [key not in known for key in asked.tolist()]


def test_of_two_words_that_want_a_slot_the_more_frequent_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_table, "_MULTIPLIER", np.uint64(0))
    assert Slots(3).add(np.array([7, 5, 6], dtype=np.uint64))[0] == 0


def test_many_words_are_told_apart() -> None:
    vocabulary = [f"{number:x}" * (1 + number % 3) for number in range(1, 100_000)]
    vocabulary = list(dict.fromkeys(vocabulary))
    known, asked = [word.encode() for word in vocabulary[::2]], [word.encode() for word in vocabulary]
    assert table_of(known).find(words_of(asked)).tolist() == ids_of(known, asked)
