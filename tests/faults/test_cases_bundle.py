"""Bundles that are refused before a row is read, each with what is wrong with it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from pipeline.runtime.bundle import CARD, GOLDEN, MANIFEST, MODEL, FileRecord, read_manifest
from pipeline.runtime.golden_rows import read_golden, write_golden
from tests.cli.test_bundles import publish_again
from tests.faults.cases import case
from tests.faults.command import Rejected, Resenha, check_account, names_below, read_lines, read_page
from tests.runtime.altered_models import altered, model_with_table_rows, model_with_weight
from tests.runtime.test_bundle import reseal
from tests.stand_ins import WORDS, make_bundle

Change = Callable[[Path], object]
FILES = (MODEL, GOLDEN, CARD, MANIFEST)


def flip(name: str, place: float) -> Change:
    def change(bundle: Path) -> None:
        content = bytearray((bundle / name).read_bytes())
        content[int(place * (len(content) - 1))] ^= 1
        (bundle / name).write_bytes(content)

    return change


def flip_accuracy(bundle: Path) -> None:
    """Nothing but the manifest's own digest vouches for it."""
    content = (bundle / MANIFEST).read_bytes()
    assert content.count(b'"accuracy": 0.9,') == 1
    (bundle / MANIFEST).write_bytes(content.replace(b'"accuracy": 0.9,', b'"accuracy": 0.8,'))


def swap(name: str) -> Change:
    """Take a file of another whole bundle."""

    def change(bundle: Path) -> None:
        make_bundle(bundle.parent / "other", accuracy=0.8, model=model_with_weight("good", 2.5))
        (bundle.parent / "other" / CARD).write_bytes(b"# another!\n")
        shutil.copy(bundle.parent / "other" / name, bundle / name)

    return change


def link(name: str) -> Change:
    def change(bundle: Path) -> None:
        (bundle / name).rename(bundle.parent / name)
        (bundle / name).symlink_to(bundle.parent / name)

    return change


def publish(name: str, content: Callable[[], bytes]) -> Change:
    """Put other bytes into a file and into the manifest, so that every digest holds."""
    return lambda bundle: publish_again(bundle, name, content())


def list_outside(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    forged = replace(manifest, files={**manifest.files, "../a.txt": FileRecord("0" * 64, 4)}).sealed()
    (bundle / MANIFEST).write_bytes(forged.to_bytes())


def with_external_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../a.txt")


def with_function(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Identity", ["a"], ["b"])]
    model.functions.append(
        helper.make_function("own", "F", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    )
    model.opset_import.add(domain="own", version=1)


def graph(change: Callable[[onnx.ModelProto], Any]) -> Change:
    return publish(MODEL, lambda: altered(change))


def moved_golden(bundle: Path) -> None:
    rows = read_golden((bundle / GOLDEN).read_bytes())
    publish_again(bundle, GOLDEN, write_golden([replace(rows[0], score=0.5), *rows[1:]]))


REFUSED: list[tuple[str, str, Change, tuple[str, ...]]] = [
    *(("any flipped byte", f"{name} at {place}", flip(name, place), (name,))
      for name in FILES for place in (0, 0.5, 1)),
    ("any flipped byte", "a figure of the manifest", flip_accuracy, (MANIFEST, "was changed after it was published")),
    *(("a missing file", name, lambda bundle, name=name: (bundle / name).unlink(), (name,)) for name in FILES),
    *(("an extra file", name, lambda bundle, name=name: (bundle / name).touch(), ("extra files: ", name))
      for name in ("model.onnx.data", "conftest.py", ".hidden")),
    *(("a replaced file", name, swap(name), (name,)) for name in (MODEL, CARD)),
    # By its own account it is whole; the files are not those that it lists.
    ("a replaced file", MANIFEST, swap(MANIFEST), ("was published",)),
    *(("a symlink", name, link(name), (name, "it is a link")) for name in FILES),
    ("a manifest with an unknown format version", "99",
     lambda bundle: reseal(bundle, lambda record: record.update(format_version=99)),
     (MANIFEST, "has format version 99, this program reads")),
    ("a manifest with an unknown key", "run_this",
     lambda bundle: reseal(bundle, lambda record: record.update(run_this="a.py")),
     (MANIFEST, "unknown or missing keys: run_this")),
    ("a manifest with a path outside the folder", "above", list_outside, (MANIFEST, "it lists ../a.txt, README.md")),
    ("a graph with external data", "a table", graph(with_external_data), (MODEL, "external data")),
    ("a graph with foreign operator domains", "a node",
     graph(lambda model: model.graph.node.add(op_type="Gelu", domain="com.microsoft")),
     (MODEL, "operators of the domain 'com.microsoft'")),
    ("a graph with functions", "one", graph(with_function), (MODEL, "functions of its own")),
    ("vocabulary size ≠ table rows", "a row fewer", publish(MODEL, lambda: model_with_table_rows(len(WORDS) + 3)),
     (MODEL, "fails on token ids that its vocabulary allows")),
    ("vocabulary size ≠ table rows", "a row more", publish(MODEL, lambda: model_with_table_rows(len(WORDS) + 5)),
     (MODEL, "scores the token id 14; its vocabulary ends at 13")),
    ("the golden self-test gives other scores on this machine", "a golden score", moved_golden, ("golden row 1 scores",)),
    ("the golden self-test gives other scores on this machine", "a weight",
     publish(MODEL, lambda: model_with_weight("good", 2.01)), ("golden row 1 scores",)),
]  # fmt: skip


@case("Exit statuses", "5")
@case("Promises", "P11 safe loading")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(change, told, id=f"{words}: {kind}", marks=case("Bundle", words))
        for words, kind, change, told in REFUSED
    ],
)
@pytest.mark.parametrize("output", ["-", "o.jsonl", "o/"])
def test_a_bundle_that_is_not_what_was_published_scores_nothing(
    change: Change, told: tuple[str, ...], output: str, resenha: Resenha, bundle: Path, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    # A whole bundle has passed its test here; no other one profits by it.
    assert resenha("a.txt").status == 0
    change(bundle)
    ran = resenha("a.txt", "-o", output, "--summary", "s.json")
    assert (ran.status, ran.out) == (5, b"")
    assert ran.err.count("\n") == 1
    assert str(bundle) in ran.err
    assert [each for each in told if each not in ran.err] == []
    assert names_below(work) == {"a.txt"}


@case("Bundle", "NaN for a row")
@pytest.mark.parametrize("weight", [math.nan, -math.nan], ids=["NaN", "−NaN"])
@pytest.mark.parametrize("output", ["o.jsonl", "o/"])
def test_a_score_that_is_no_number_costs_its_row(
    weight: float, output: str, resenha: Resenha, work: Path, tmp_path: Path
) -> None:
    """No golden row holds the word."""
    make_bundle(tmp_path / "odd", model=model_with_weight("moving", weight))
    (work / "a.txt").write_text("good\nmoving film\nbad\n")
    more = ["--summary", "s.json", *([] if output == "o/" else ["--rejects", "r.jsonl"])]
    ran = resenha("--lines", "a.txt", "-o", output, *more, model=tmp_path / "odd")
    assert ran.status == 3
    scored = read_lines(work / ("o/part-00000.jsonl" if output == "o/" else output))
    rejects = read_lines(work / ("o/rejects.jsonl" if output == "o/" else "r.jsonl"))
    check_account(scored, rejects, read_page(work / "s.json"), {
        ("a.txt", 1): "good", ("a.txt", 2): Rejected("not_finite", 2), ("a.txt", 3): "bad",
    })  # fmt: skip


WATCHED = """
import json, sys
seen = []
def watch(event, arguments):
    if event in ("open", "os.system", "subprocess.Popen", "os.exec", "pickle.find_class", "socket.connect"):
        seen.append([event, str(arguments[0])])
sys.addaudithook(watch)
from pipeline.cli import main
try:
    main()
finally:
    print("seen", json.dumps(seen), file=sys.stderr)
"""
DECOYS = ("sitecustomize.py", "conftest.py", "onnxruntime.py", "model.onnx.data", "weights.pkl", "a.so")


@case("Promises", "P11 safe loading")
def test_to_load_a_bundle_opens_its_own_files_and_runs_nothing(
    bundle: Path, work: Path, record_property: Callable[[str, object], None]
) -> None:
    """By the interpreter's own account, as an installed program: the working folder is no place for imports."""
    for folder in (bundle.parent, work):
        for name in DECOYS:
            (folder / name).write_text("raise SystemExit('decoy')")
    found = subprocess.run(
        [sys.executable, "-P", "-c", WATCHED, "score", "-b", bundle, "-", "-q"],
        input="good\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    record_property("seen", "opened: the four files, and nothing else beside the program's own")
    assert found.returncode == 0, found.stderr
    seen = json.loads(found.stderr.rpartition("seen ")[2])
    assert {event for event, _ in seen} == {"open"}
    seen_here = [name for _, name in seen if not Path(name).is_absolute() or str(bundle.parent) in name]
    # A number is a file that is open already.
    opened = [name for name in seen_here if not name.isdecimal()]
    assert sorted(opened) == sorted([str(bundle), *FILES])
