"""A recipe trained with a seed: in a process of its own, so that the memory it takes is its own.

The chain keeps what it did, so a second run finds it, and one that was killed goes on after an epoch.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import own_peak_bytes, run_process
from pipeline.chain import Bundled, call_stage, run_to_bundle
from pipeline.errors import GateError, ResenhaError
from pipeline.recipe import Recipe, load_recipe
from pipeline.reports import Acquired, Exported, Trained
from pipeline.runtime.durable import write_durably
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Done, Workspace

SEEDS = (1, 2, 3)
LEARNING = ("prepare", "teach", "pretrain", "train")
"""The stages from texts to a trained network."""


@dataclass(frozen=True)
class TrainedRecipe:
    """What a recipe came to with one seed; paths as texts, since it goes through JSON."""

    digests: dict[str, str]
    """SHA-256 of the reviews to learn from and to test, by ``Acquired``'s names."""
    files: dict[str, str]
    """The same reviews, by the same names."""
    seconds: dict[str, float]
    """By stage of ``LEARNING``; what was done before counts as it counted then."""
    peak_bytes: int | None
    """Most memory from the start to the end of training; None where that was killed before it was written."""
    refused: str = ""
    """What a gate said against it; it has no bundle then."""
    bundle: str = ""
    form: str = ""
    """Of the graph in the bundle; see ``Exported``."""
    graphs: dict[str, str] | None = None
    """By form: the file."""


def train_recipe(folder: Path, recipe: str, seed: int, sourcing: Sourcing) -> TrainedRecipe:
    """Run the chain as far as the bundle, or find that it was run; its log goes to standard error.

    Args:
        folder: The workspace, which all recipes and seeds share.
        recipe: A shipped recipe's name, or the path of a file.
        seed: The training's.
        sourcing: Where the reviews come from.

    Raises:
        ResenhaError: What a stage raises; but for a gate's refusal, which is a result.
    """
    answer = folder / f".{Path(recipe).stem}-{seed}.answer.json"
    folder.mkdir(parents=True, exist_ok=True)
    archive = sourcing.archive and str(sourcing.archive)
    job = [str(folder), recipe, seed, sourcing.corpus, archive, sourcing.archive_sha256, str(answer)]
    try:
        run_process([sys.executable, "-m", __name__, json.dumps(job)], shows_errors=True)
        return TrainedRecipe(**json.loads(answer.read_bytes()))
    finally:
        answer.unlink(missing_ok=True)


def train_seeds(
    folder: Path, recipe: str, sourcing: Sourcing, tell: Callable[[str], None]
) -> tuple[list[TrainedRecipe], list[str]]:
    """Train a recipe with each of ``SEEDS``; ``tell`` hears of each.

    Returns:
        What was published, and a note on every seed that was not.

    Raises:
        ResenhaError: As ``train_recipe``.
    """
    name, published, notes = Path(recipe).stem, [], []
    for seed in SEEDS:
        tell(f"{name}, seed {seed} of {SEEDS[-1]}")
        trained = train_recipe(folder, recipe, seed, sourcing)
        if trained.refused:
            notes.append(f"`{name}`, seed {seed}, is not in the figures, {' '.join(trained.refused.split())}")
        else:
            published.append(trained)
    return published, notes


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """Give a recipe with another seed of training."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": seed})})


class _Stages:
    """Runs stages, and keeps their seconds and the peak of the process that trained."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.done: dict[str, Done[Any]] = {}

    def __call__(self, name: str, *arguments: Any) -> Any:
        result = call_stage(name, *arguments)
        if isinstance(result, Done):
            self.done[name] = result
            if name == "train" and not result.was_done:
                write_durably(self._peak_file(), json.dumps(own_peak_bytes()))
        return result

    def seconds(self) -> dict[str, float]:
        seconds = {name: self.done[name].seconds for name in LEARNING if name in self.done}
        trained: Trained = self.done["train"].report
        # One that was killed and went on took more than its last process did.
        return seconds | {"train": max(seconds["train"], trained.epochs * trained.seconds_per_epoch)}

    def peak_bytes(self) -> int | None:
        try:
            found: int = json.loads(self._peak_file().read_bytes())
        except FileNotFoundError:
            return None
        return found

    def _peak_file(self) -> Path:
        folder = self.done["train"].folder
        return self._folder / f"peak-{folder.parts[-3]}-{folder.name}.json"


def _run(folder: Path, recipe: Recipe, sourcing: Sourcing) -> TrainedRecipe:
    stages = _Stages(folder)
    refused, made = "", None
    try:
        made = run_to_bundle(Workspace(folder), recipe, sourcing, run=stages)
    except GateError as error:
        refused = str(error)
    acquired: Done[Acquired] = stages.done["acquire"]
    names = (Acquired.TRAIN, Acquired.TEST)
    return TrainedRecipe(
        digests={name: acquired.digests[name] for name in names},
        files={name: str(acquired[name]) for name in names},
        seconds=stages.seconds(),
        peak_bytes=stages.peak_bytes(),
        refused=refused,
        **(_published(made) if made else {}),
    )


def _published(made: Bundled) -> dict[str, Any]:
    files = {form: str(made.exported[Exported.file_of(form)]) for form in made.exported.report.graphs}
    return {"bundle": made.published.bundle, "form": made.compared.report.form, "graphs": files}


def _main(job: str) -> int:
    folder, recipe, seed, corpus, archive, checksum, answer = json.loads(job)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("resenha").setLevel(logging.INFO)
    sourcing = Sourcing(corpus, Path(archive) if archive else None, checksum)
    try:
        found = _run(Path(folder), with_seed(load_recipe(recipe), seed), sourcing)
    except ResenhaError as error:
        sys.stdout.write(str(error))
        return error.exit_status
    write_durably(Path(answer), json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
