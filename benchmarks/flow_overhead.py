"""What Prefect costs: a finished chain called directly, as a flow in one process, and by a deployment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.pairing import take_turns
from benchmarks.processes import Finished, run_process
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, spread_text
from flows.installation import HOST, Installation

_ROUNDS = 5
_DIRECT, _FLOW, _DEPLOYMENT = "`resenha train`", "`make pipeline`", "`prefect deployment run --watch`"
_RECIPE, _CORPUS = "quick", "sample"
_SOURCES = Path(__file__).parent.parent


def measure(setting: Setting) -> Section:
    """Run a chain whose stages are all done in each of three ways, a process each, in turns."""
    artifacts = (setting.folder / "flow-overhead").absolute()
    chain = [_RECIPE, "--corpus", _CORPUS, "--artifacts", str(artifacts)]
    options = [f"recipe={_RECIPE}", f"corpus={_CORPUS}", f"artifacts={artifacts}"]
    run = ["prefect", "deployment", "run", "build-bundle/local", "--watch"]
    run += [word for option in options for word in ("--param", option)]
    with _service(artifacts) as environment:
        alone = {name: value for name, value in environment.items() if name != "PREFECT_API_URL"}
        contenders: dict[str, Callable[[], Finished]] = {
            _DIRECT: lambda: run_process(_python("pipeline", "train", *chain)),
            _FLOW: lambda: run_process(_python("flows.build_bundle", *chain), environment=alone),
            _DEPLOYMENT: lambda: run_process(_python(*run), environment=environment),
        }
        for start in contenders.values():
            start()
        rounds = take_turns(contenders, rounds=_ROUNDS)
    rows = [
        [
            name,
            spread_text(rounds.time(name)),
            "" if name == _DIRECT else spread_text(rounds.difference(name, _DIRECT)),
        ]
        for name in contenders
    ]
    notes = [
        f"recipe {_RECIPE}, corpus {_CORPUS}; every stage was done before, and is found to be still valid",
        "the server and the worker of the last way run already; the second starts a server of its own",
    ]
    return Section([Table("What Prefect costs", ["way", "seconds", "more than directly"], rows, notes)])


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


@contextmanager
def _service(artifacts: Path) -> Iterator[dict[str, str]]:
    """Start a server and a worker with the deployments, and give the environment to use them in."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = str(probe.getsockname()[1])
    place = ["--artifacts", str(artifacts), "--port", port]
    environment = Installation.under(artifacts, int(port)).environment("benchmark")
    subprocess.run(_python("flows.service", "start", *place), check=True, capture_output=True)
    try:
        deploy = _python("prefect", "--no-prompt", "deploy", "--all")
        settings = {**environment, "RESENHA_ARTIFACTS": str(artifacts), "PWD": os.fspath(_SOURCES)}
        subprocess.run(deploy, cwd=_SOURCES, env=settings, check=True, capture_output=True)
        yield environment
    finally:
        subprocess.run(_python("flows.service", "stop", *place), check=True, capture_output=True)
