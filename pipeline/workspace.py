"""The folder that runs leave their work in, and the rule by which finished work is not done again.

::

    artifacts/
      cache/                           downloads, each checked whenever it is used
      runs/<recipe>/<stage>/<key>/     what a stage made; the key is the hash of all it depends on
      bundles/<recipe>/<version>/      published bundles
      current -> bundles/…             the promoted one
      history.jsonl                    what was promoted, and when

A stage's folder is made under a temporary name and renamed when it is whole, so a folder that
carries its final name is complete. It is used again only while every byte is as it was written.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.errors import InputOutputError
from pipeline.runtime.durable import sha256_of, sync_folder, write_durably

Report = TypeVar("Report")
_STAMP = "stage.json"
_PROJECT = "pipeline"
_DISTRIBUTIONS = {
    name: name
    for name in ("keras", "numpy", "onnx", "onnxruntime", "optuna", "scipy", "tensorflow", "tf2onnx")
} | {"sklearn": "scikit-learn"}
"""Packages that results depend on: import name to distribution."""


@dataclass(frozen=True)
class Done(Generic[Report]):
    """A finished stage."""

    stage: str
    folder: Path
    report: Report
    digests: Mapping[str, str]
    """File name to SHA-256."""
    seconds: float
    """What the work took when it was done."""
    was_done: bool
    """Whether an earlier run's work was still valid and used."""

    def __getitem__(self, name: str) -> Path:
        if name not in self.digests:
            msg = f"{name} is not among what is handed on of stage {self.stage}: {', '.join(self.digests)}"
            raise KeyError(msg)
        return self.folder / name

    def only(self, *names: str) -> Done[Report]:
        """Hand on the named files alone: whoever gets this can ask for no other."""
        return replace(self, digests={name: self.digests[name] for name in names})

    def pick(self, *names: str) -> dict[str, str]:
        """Give the digests of the named files, for the stage that reads them."""
        return {f"{self.stage}/{name}": self.digests[name] for name in names}


@dataclass(frozen=True)
class Workspace:
    """The folders under one root."""

    root: Path

    @property
    def cache(self) -> Path:
        """Where downloads are kept."""
        return self.root / "cache"

    @property
    def bundles(self) -> Path:
        """Where bundles are published."""
        return self.root / "bundles"

    @property
    def current(self) -> Path:
        """The link to the promoted bundle."""
        return self.root / "current"

    def run_stage(
        self,
        stage: str,
        recipe: str,
        work: Callable[[Path], Report],
        *,
        report_type: type[Report],
        settings: Any,
        inputs: Mapping[str, str],
    ) -> Done[Report]:
        """Do a stage's work in a folder of its own, unless that was done and is still valid.

        Args:
            stage: The stage's name, also that of its module in ``pipeline.stages``.
            recipe: The recipe's name.
            work: Fills the folder it is given and returns its report.
            report_type: The report's dataclass; its fields have to survive JSON.
            settings: Every setting that the work depends on, as JSON can hold it.
            inputs: SHA-256 of everything that the work reads, by name.

        Raises:
            InputOutputError: If the folder cannot be written.
        """
        key = fingerprint({"settings": settings, "inputs": inputs, **code_of(f"{_PROJECT}.stages.{stage}")})[
            :16
        ]
        home = self.root / "runs" / recipe / stage
        final = home / key
        if (found := _read_done(final, stage, report_type)) is not None:
            return found
        try:
            home.mkdir(parents=True, exist_ok=True)
            remove_leftovers(home)
            return _do(work, final, stage, report_type)
        except OSError as error:
            msg = f"stage {stage}: {error.filename or home}: {error.strerror or error}"
            raise InputOutputError(msg) from error


def _do(work: Callable[[Path], Report], final: Path, stage: str, report_type: type[Report]) -> Done[Report]:
    temporary = temporary_name(final)
    temporary.mkdir()
    try:
        started = time.perf_counter()
        report = work(temporary)
        stamp = {
            "report": asdict(report),  # type: ignore[call-overload]  # Report is a dataclass; TypeVar cannot say so
            "digests": {path.name: _sealed(path) for path in sorted(temporary.iterdir())},
            "seconds": round(time.perf_counter() - started, 3),
        }
        write_durably(temporary / _STAMP, json.dumps(stamp, indent=2) + "\n")
        put_in_place(temporary, final, is_whole=lambda: _read_done(final, stage, report_type) is not None)
        shutil.rmtree(_unfinished(final.name, final.parent), ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Done(stage, final, report, stamp["digests"], stamp["seconds"], was_done=False)


def temporary_name(final: Path) -> Path:
    """Give the name under which this process makes a folder before it gets its final name."""
    return final.with_name(f".{final.name}.{os.getpid()}.tmp")


def place_to_go_on_from(folder: Path) -> Path:
    """Give the folder where a stage keeps what it goes on from after it was killed, until it is done.

    Args:
        folder: That which the stage's work was given.
    """
    kept = _unfinished(folder.name.split(".")[1], folder.parent)
    kept.mkdir(exist_ok=True)
    return kept


def _unfinished(key: str, home: Path) -> Path:
    return home / f".{key}.unfinished"


def put_in_place(temporary: Path, final: Path, *, is_whole: Callable[[], bool]) -> None:
    """Rename a finished folder into place; one that is there is kept if whole, else replaced."""
    if final.exists() and not is_whole():
        rotten = final.with_name(f".{final.name}.{os.getpid()}.rotten.tmp")
        final.rename(rotten)
        shutil.rmtree(rotten, ignore_errors=True)
    if not final.exists():
        temporary.rename(final)
        sync_folder(final.parent)


def _sealed(path: Path) -> str:
    """Sync a file and give its digest."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    return sha256_of(path)


def _read_done(folder: Path, stage: str, report_type: type[Report]) -> Done[Report] | None:
    try:
        stamp = json.loads((folder / _STAMP).read_bytes())
        digests: dict[str, str] = stamp["digests"]
        if {path.name for path in folder.iterdir()} != {*digests, _STAMP}:
            return None
        if any(sha256_of(folder / name) != digest for name, digest in digests.items()):
            return None
        report = report_type(**stamp["report"])
        return Done(stage, folder, report, digests, stamp["seconds"], was_done=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_leftovers(home: Path) -> None:
    """Remove from ``home`` what killed processes left half-written; those that still run keep theirs."""
    for path in home.glob(".*.tmp"):
        owner = path.name.split(".")[2]
        if not (owner.isdigit() and _is_running(int(owner))):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def fingerprint(content: Any) -> str:
    """Give the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@cache
def code_of(module: str) -> dict[str, dict[str, str]]:
    """Describe the code behind a module: its sources and versions of what they import.

    Follows imports inside this project, however deep. Comments and layout do not count.

    Returns:
        ``{"code": {module: hash}, "packages": {distribution: version}}``
    """
    code: dict[str, str] = {}
    packages: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in code:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        tree = ast.parse(Path(spec.origin).read_bytes())
        code[name] = hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
        for imported in _imports(tree):
            top = imported.partition(".")[0]
            if top == _PROJECT:
                waiting.append(imported)
            elif top in _DISTRIBUTIONS:
                packages.add(_DISTRIBUTIONS[top])
    return {
        "code": dict(sorted(code.items())),
        "packages": {name: version(name) for name in sorted(packages)},
    }


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # `from pipeline.corpora import imdb` imports a module by its name.
            if node.module.startswith(_PROJECT):
                names = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from (name for name in names if _is_module(name))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
