"""Words to ids, many words at a time: a word is a stretch of bytes, never a Python object.

A word is cut into blocks of eight bytes, the last one filled up with zeros, so that a block is one
64-bit number. A first table numbers every block; a second one numbers every pair of what a word
begins with and the block that follows. Looking a word up is a walk from block to block, and most
words end at their first. Both tables compare whole keys: no hash is ever taken for a word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
"""Bytes that have to stand behind the last word of a text, whatever they are."""

_BLANK = 0x20
# Knuth's multiplier for 64 bits, 2**64 over the golden ratio: The Art of Computer Programming, 6.4.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FREE = np.uint64(2**64 - 1)
"""No key: a block holds no byte 0xFF, and a pair has two halves below 2**31."""
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(BLOCK + 1)], dtype=np.uint64)

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Words:
    """Where words stand in a text."""

    blocks: NDArray[np.uint64]
    """The eight bytes at each place of the text, little-endian; overlapping, no copy."""
    starts: Ints
    """A word's first place."""
    lengths: Ints
    """Bytes per word, at least 1."""

    @classmethod
    def find(cls, text: bytes, begin: int, end: int) -> Words:
        """Find the words between two blanks.

        Args:
            text: UTF-8 without a byte 0x00 or 0xFF; words stand between blanks (0x20).
            begin: Place of a blank.
            end: Place of a later blank, at least ``BLOCK`` before the end of the text.
        """
        is_blank = np.frombuffer(text, np.uint8, end + 1 - begin, begin) == _BLANK
        borders = np.flatnonzero(is_blank[1:] != is_blank[:-1])
        blocks = np.ndarray((end - begin,), "<u8", text, begin + 1, (1,))
        return cls(blocks, borders[::2], borders[1::2] - borders[::2])

    def keys(self, number: int, which: Ints) -> Keys:
        """Give the block of this number of the words chosen; they have to be long enough."""
        skipped = number * BLOCK
        rest = self.lengths[which] - skipped
        return self.blocks[self.starts[which] + skipped] & _MASKS.take(rest, mode="clip")

    def first_keys(self) -> Keys:
        """Give every word's first block."""
        return self.blocks[self.starts] & _MASKS.take(self.lengths, mode="clip")


class Slots:
    """A set of 64-bit keys, each in a slot of its own: open addressing with linear probing.

    Args:
        capacity: Keys that it has to hold; at most a quarter of the slots is ever taken, since
            words that are not there are found missing the sooner.
    """

    def __init__(self, capacity: int) -> None:
        bits = max(4, (4 * capacity).bit_length())
        self._shift = np.uint64(64 - bits)
        self._keys = np.full(1 << bits, _FREE)

    def __len__(self) -> int:
        """Give the number of slots, free ones included."""
        return len(self._keys)

    def add(self, keys: Keys) -> Ints:
        """Put keys in, those that are there already too, and give the slot of each.

        Where two want a slot at once the earlier one gets it: words come in the order of
        frequency, and most of a text is then found at once.
        """
        slots = self._first_slots(keys)
        homeless = np.arange(len(keys))[::-1]
        while homeless.size:
            here = slots[homeless]
            is_free = self._keys[here] == _FREE
            self._keys[here[is_free]] = keys[homeless[is_free]]
            homeless = homeless[self._keys[here] != keys[homeless]]
            slots[homeless] = self._next_slots(slots[homeless])
        return slots

    def find(self, keys: Keys) -> Ints:
        """Give the slot of each key; of one that is not there, some free slot."""
        slots = self._first_slots(keys)
        astray = np.flatnonzero(self._keys.take(slots) != keys)
        while astray.size:
            held = self._keys[slots[astray]]
            astray = astray[(held != keys[astray]) & (held != _FREE)]
            slots[astray] = self._next_slots(slots[astray])
        return slots

    def are_free(self, slots: Ints) -> NDArray[np.bool_]:
        """Tell which of these slots hold no key."""
        free: NDArray[np.bool_] = self._keys[slots] == _FREE
        return free

    def _first_slots(self, keys: Keys) -> Ints:
        return (keys * _MULTIPLIER >> self._shift).view(np.int64)

    def _next_slots(self, slots: Ints) -> Ints:
        return slots + 1 & len(self._keys) - 1


class WordTable:
    """Words with their ids.

    Args:
        words: The words, each once, the most frequent first.
        ids: Id per word.
        unknown: Id of every other word.
    """

    def __init__(self, words: Words, ids: NDArray[np.int32], *, unknown: int) -> None:
        further = int(((words.lengths - 1) // BLOCK).sum())
        self._blocks = Slots(len(ids) + further)
        self._pairs = Slots(further)
        # What a word begins with is known by its slot: first the blocks', then the pairs'.
        self._ids = np.full(len(self._blocks) + len(self._pairs), unknown, dtype=np.int32)
        self._ids[self._walk(words, Slots.add)] = ids

    def find(self, words: Words) -> NDArray[np.int32]:
        """Give the id of each word."""
        return self._ids.take(self._walk(words, Slots.find))

    def _walk(self, words: Words, look_up: Callable[[Slots, Keys], Ints]) -> Ints:
        """Follow the words from block to block, as long as the table knows them."""
        ends = look_up(self._blocks, words.first_keys())
        number = 1
        longer = np.flatnonzero(words.lengths > BLOCK)
        while longer.size:
            block = look_up(self._blocks, words.keys(number, longer))
            # A free slot is part of no pair, so that a word once lost is not found again.
            pair = look_up(self._pairs, (ends[longer] << 32 | block).view(np.uint64))
            ends[longer] = len(self._blocks) + pair
            number += 1
            longer = longer[(words.lengths[longer] > number * BLOCK) & ~self._pairs.are_free(pair)]
        return ends
