"""Fixtures that several rooms share."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.recipe import Recipe, parse_recipe
from pipeline.workspace import Workspace
from tests.stand_ins import make_bundle

TINY_RECIPE = """
description = "A network small enough to train in a test."

[corpus]
name = "files"
train = "train.csv"
test = "test.csv"
negative = "0"
positive = "1"

[text]
num_words = 40
max_length = 12

[network]
cell = "simple"
embedding_size = 4
units = 4

[training]
optimizer = "adam"
learning_rate = 0.02
epochs = 3
batch_size = 32
validation_split = 0.2
seed = 1
"""
TAUGHT_RECIPE = (
    TINY_RECIPE.replace('test = "test.csv"', 'test = "test.csv"\nunlabelled = "unlabelled.csv"')
    + "\n[teacher]\nngrams = 2\n\n[pretraining]\n"
)
"""The same with a teacher and pretraining."""
_GOOD, _BAD = "good moving warm funny".split(), "bad dull cold slow".split()
_REST = "the a film was it and of story actor scene".split()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="every fault, not some of each kind, in tests/faults"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the tests, modules with slow ones begin first: none is left with one at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def write_tiny_corpus(folder: Path) -> None:
    """Write reviews that a handful of units can learn, and some whose labels nobody is to read."""
    source = random.Random(7)
    for name, count in (("train.csv", 400), ("test.csv", 120), ("unlabelled.csv", 300)):
        lines = ["text,label"]
        for number in range(count):
            words = source.choices(_REST, k=source.randrange(2, 14)) + source.choices(
                (_BAD, _GOOD)[number % 2], k=2
            )
            source.shuffle(words)
            lines.append(f"{' '.join(words)} {number},{number % 2}")
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """The tiny recipe, with its reviews beside it."""
    write_tiny_corpus(tmp_path)
    return parse_recipe("tiny", TINY_RECIPE, folder=tmp_path)


@pytest.fixture
def taught_recipe(tmp_path: Path) -> Recipe:
    """The tiny recipe with a teacher, with its reviews beside it."""
    write_tiny_corpus(tmp_path)
    return parse_recipe("tiny", TAUGHT_RECIPE, folder=tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "artifacts")


@pytest.fixture
def three(workspace: Workspace) -> dict[str, Path]:
    """Three bundles that were promoted one after the other."""
    from tests.promoting import attempt, put

    bundles = {name: put(workspace, name, accuracy=0.9 + number / 100) for number, name in enumerate("abc")}
    for bundle in bundles.values():
        attempt(workspace, bundle)
    return bundles


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A whole bundle, beside the folder in which a test works."""
    folder = tmp_path / "bundle"
    make_bundle(folder)
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the one a test works in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def _sigterm_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def _no_outer_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("RESENHA_ARCHIVE", "RESENHA_ARCHIVE_SHA256", "RESENHA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
