"""Damaged inputs of every kind cost themselves at most, and every row of them is accounted for.

With ``--long``, ``RESENHA_MUTANTS`` of each kind are tried, or 100,000.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.runtime.cores import usable_cores
from tests.faults.cases import case
from tests.faults.fuzz_program import fuzz_apart
from tests.faults.fuzzing import Fuzzer, Tally
from tests.faults.mutants import KINDS

_SHORT, _LONG = 600, 100_000
_FIRST_SHORT = 1_000_000
"""The long form begins at 0, so that both together see more."""
_CHUNKS = {"parquet": 5_000}
"""Mutants of one process, where not 25,000: native code may end it."""


@case("Promises", "P1 conservation")
@case("Promises", "P6 no poison row")
@pytest.mark.parametrize("kind", KINDS)
def test_mutants_cost_themselves_alone(
    kind: str, is_long: bool, tmp_path_factory: pytest.TempPathFactory, figures: list[str]
) -> None:
    if is_long:
        wanted = int(os.environ.get("RESENHA_MUTANTS", _LONG))
        tally = _tried_by_all_cores(kind, wanted)
        figures.append(f"{kind}: {_told(tally)}")
    else:
        wanted = _SHORT
        if kind == "parquet":
            tally = fuzz_apart(kind, _FIRST_SHORT, _FIRST_SHORT + _SHORT)
        else:
            with pytest.MonkeyPatch.context() as patch:
                folder = tmp_path_factory.mktemp(kind)
                patch.chdir(folder)
                tally = Fuzzer(folder).run(kind, range(_FIRST_SHORT, _FIRST_SHORT + _SHORT))
    assert tally.crashes == []
    assert tally.violations == []
    assert tally.mutants == wanted
    # Mutants that are all refused at the door would prove nothing.
    assert tally.refused < wanted


def _tried_by_all_cores(kind: str, mutants: int) -> Tally:
    size = _CHUNKS.get(kind, 25_000)
    total = Tally()
    with ThreadPoolExecutor(usable_cores()) as pool:
        for each in pool.map(
            lambda first: fuzz_apart(kind, first, min(first + size, mutants)), range(0, mutants, size)
        ):
            total.add(each)
    return total


def _told(tally: Tally) -> str:
    rejects = ", ".join(f"{code} {count:,}" for code, count in tally.rejects.most_common())
    return (
        f"{tally.mutants:,} mutants, {len(tally.crashes)} crashes, {len(tally.violations)} violations; "
        f"{tally.refused:,} refused whole, {tally.rows:,} rows, rejects: {rejects or 'none'}"
    )
