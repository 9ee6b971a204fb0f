"""Batches as training walks them: two halves, each with rows of like length side by side, group by group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.recipe import NetworkSettings

_HALVES = 2
"""They are walked at the same time. Two on every machine: the number decides how sums are rounded."""
_GROUP = 32
"""Rows of a group, where padding is left out."""
_STEPS = 64
"""The steps of a half are rounded up to a multiple: every number of them is compiled anew."""

Ids = NDArray[np.int32]

_NOBODY = np.zeros(0, np.int32)


class Half(NamedTuple):
    """Rows of token ids, ready for a walk; ``steps`` are those of all groups, ``rows`` those of one."""

    tokens: Ids
    """``(steps, rows)``; what remains of padding comes before the words."""
    turned_round: Ids
    """For each place, which one stands there for who reads from the end, if the network does: step · rows +
    row, ``(steps · rows,)``. Where padding is left out, it comes before the words then too."""
    goes_on: NDArray[np.float32]
    """0 where a group begins, else 1; ``(steps,)``."""
    groups: Ids
    """Number of the group of each step; steps that only fill up have one of their own, the last."""
    ends: Ids
    """The last step of each group."""
    words: NDArray[np.float32]
    """Steps that a row's mean is over; ``(groups, 1, rows)``."""


class PackedBatch(NamedTuple):
    """A batch of token ids, ready for its walks."""

    halves: tuple[Half, ...]
    """Of equal shapes."""
    places: Ids
    """Where each row of the batch went: half · groups · rows + group · rows + row, fillers included."""


def pack_batch(ids: Ids, network: NetworkSettings, rows: int) -> PackedBatch:
    """Pack a batch.

    Args:
        ids: Padded on the left, shape ``(batch, max_length)``.
        network: Whether it leaves padding out, and reads both ways.
        rows: Of a whole batch; one that has fewer is filled up with padding.
    """
    size = min(_GROUP, -(-rows // _HALVES)) if network.masked else -(-rows // _HALVES)
    many = _HALVES * -(-rows // (_HALVES * size))
    filled = np.zeros((many * size, ids.shape[1]), np.int32)
    filled[: len(ids)] = ids
    if not network.masked:
        halves = tuple(_whole(half, network) for half in np.split(filled, _HALVES))
        return PackedBatch(halves, np.arange(rows, dtype=np.int32))
    lengths = np.count_nonzero(filled, axis=1)
    groups = np.argsort(lengths, kind="stable").reshape(many, size)
    # Longest first, they go to the one, the other, the other, the one: that leaves both about equally long.
    of_half = np.arange(1, many + 1) // 2 % _HALVES
    groups = np.concatenate([groups[::-1][of_half == half] for half in range(_HALVES)])
    longest = np.maximum(lengths[groups].max(axis=1), 1)
    steps = -(-int(longest.reshape(_HALVES, -1).sum(axis=1).max()) // _STEPS) * _STEPS
    halves = tuple(
        _without_padding(filled, lengths, members, steps, network) for members in np.split(groups, _HALVES)
    )
    places = np.empty(many * size, np.int32)
    places[groups.ravel()] = np.arange(many * size)
    return PackedBatch(halves, places[:rows])


def _whole(ids: Ids, network: NetworkSettings) -> Half:
    """Take the rows as they are, one group of them."""
    rows, steps = ids.shape
    places = np.arange(steps * rows, dtype=np.int32).reshape(steps, rows)
    return Half(
        ids.T,
        places[::-1].ravel() if network.bidirectional else _NOBODY,
        goes_on=np.r_[0, np.ones(steps - 1)].astype(np.float32),
        groups=np.zeros(steps, np.int32),
        ends=np.array([steps - 1], np.int32),
        words=np.full((1, 1, rows), steps, np.float32),
    )


def _without_padding(
    ids: Ids, lengths: NDArray[np.int64], groups: NDArray[np.int64], steps: int, network: NetworkSettings
) -> Half:
    """Put groups of rows one after the other, each as long as its longest row."""
    many, rows = groups.shape
    longest = np.maximum(lengths[groups].max(axis=1), 1)
    starts = np.r_[0, np.cumsum(longest)]
    goes_on = np.ones(steps, np.float32)
    goes_on[starts[starts < steps]] = 0
    tokens = np.zeros((steps, rows), np.int32)
    places = np.tile(np.arange(steps)[:, None], (1, rows))
    for members, start, end in zip(groups, starts, starts[1:], strict=False):
        tokens[start:end] = ids[members, ids.shape[1] - (end - start) :].T
        # Words are the last of their group's places: their first and last one change, and so on.
        mirrored = places[start:end][::-1] + (end - start - lengths[members])
        places[start:end] = np.where(tokens[start:end] > 0, mirrored, places[start:end])
    return Half(
        tokens,
        (places * rows + np.arange(rows)).astype(np.int32).ravel() if network.bidirectional else _NOBODY,
        goes_on,
        groups=np.repeat(np.arange(many + 1), np.diff(np.r_[starts, steps])).astype(np.int32),
        ends=(starts[1:] - 1).astype(np.int32),
        words=np.maximum(lengths[groups], 1).reshape(many, 1, rows).astype(np.float32),
    )
