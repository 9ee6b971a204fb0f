"""What the tests of flows share: a finished run of the chain, and a server with a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.chain import run_chain
from pipeline.recipe import parse_recipe
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace
from tests.conftest import TINY_RECIPE, write_tiny_corpus
from tests.flows.build_service import BuildService


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tiny.toml``, its reviews, and ``artifacts`` in which the whole chain ran."""
    folder = tmp_path_factory.mktemp("finished")
    write_tiny_corpus(folder)
    (folder / "tiny.toml").write_text(TINY_RECIPE)
    recipe = parse_recipe("tiny", TINY_RECIPE, folder=folder)
    run_chain(Workspace(folder / "artifacts"), recipe, Sourcing())
    return folder


@pytest.fixture(scope="package")
def build_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildService]:
    """A service in which builds are deployed."""
    service = BuildService(tmp_path_factory.mktemp("service"))
    try:
        yield service
    finally:
        service.close()
