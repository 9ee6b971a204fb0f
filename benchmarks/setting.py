"""What every contest needs: the reviews, a bundle trained on them, and how much of the machine to use."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

from benchmarks.trained_rivals import School, school_of
from pipeline.chain import call_stage, run_chain
from pipeline.corpora.corpus import LabelledReview, Provenance
from pipeline.corpora.splits import load_reviews
from pipeline.recipe import CorpusName, load_recipe
from pipeline.reports import Acquired, Published, Trained
from pipeline.runtime.cores import usable_cores
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Done, Workspace

RECIPE = "seed"


@dataclass(frozen=True)
class Setting:
    """One run's ground."""

    reviews: str
    """What the reviews are, in words."""
    is_synthetic: bool
    corpus: CorpusName
    """The name of what they are, as a recipe's ``corpus.name`` has it."""
    sourcing: Sourcing
    """Where they come from."""
    train: Sequence[LabelledReview]
    test: Sequence[LabelledReview]
    digests: Mapping[str, str]
    """SHA-256 of the files of both, by ``Acquired``'s names."""
    bundle: Path
    """The recipe ``seed``, trained on ``train``."""
    network: Path
    """The same as Keras keeps it."""
    folder: Path
    """Where all of this lies, on a disk with room for the files of a contest."""
    school: School
    """For rivals that learn from ``train``, too."""
    threads: int
    """Threads that everybody may use."""
    is_long: bool

    def some_test_texts(self, count: int) -> list[str]:
        """Give test reviews from all over the split, which may be ordered by label."""
        step = max(1, len(self.test) // count)
        return [review.text for review in self.test[::step][:count]]


def prepare_setting(folder: Path, sourcing: Sourcing, *, is_long: bool) -> Setting:
    """Bring the reviews and train the bundle, unless an earlier run did.

    The chain runs in a process of its own: TensorFlow is made deterministic for training, which
    slows it, and measuring is to meet it as a user would.

    Args:
        folder: Where runs, bundles and trained rivals are kept.
        sourcing: Where the reviews come from; made-up ones where there are none.
        is_long: Whether the contests that take many minutes are wanted.

    Raises:
        ResenhaError: What a stage raises.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        acquired, trained, published = pool.submit(_train, folder, sourcing).result()
    report = acquired.report
    return Setting(
        reviews=str(report),
        is_synthetic=report.provenance == Provenance.SYNTHETIC,
        corpus=cast("CorpusName", report.corpus),
        sourcing=sourcing,
        train=load_reviews(acquired[Acquired.TRAIN]),
        test=load_reviews(acquired[Acquired.TEST]),
        digests={name: acquired.digests[name] for name in (Acquired.TRAIN, Acquired.TEST)},
        bundle=Path(published.bundle),
        network=trained[Trained.MODEL],
        folder=folder,
        school=school_of(folder, acquired[Acquired.TRAIN], acquired.digests[Acquired.TRAIN]),
        threads=usable_cores(),
        is_long=is_long,
    )


def _train(folder: Path, sourcing: Sourcing) -> tuple[Done[Acquired], Done[Trained], Published]:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("resenha").setLevel(logging.INFO)
    made: dict[str, Any] = {}

    def keep(name: str, *arguments: Any) -> Any:
        made[name] = call_stage(name, *arguments)
        return made[name]

    run_chain(Workspace(folder), load_recipe(RECIPE), sourcing, run=keep)
    return made["acquire"], made["train"], made["publish"]
