"""The whole chain on a tiny corpus: what is done again, what is refused, what a kill leaves."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pipeline.chain import STAGES, Outcome, call_stage, outcome_table, run_chain
from pipeline.corpora.splits import Split, load_reviews
from pipeline.errors import DataError, GateError, InterruptedRun
from pipeline.graphs.quantized import store_weights
from pipeline.networks.fitting import fit_network
from pipeline.networks.recurrent import build_network, predict_scores
from pipeline.recipe import Recipe
from pipeline.reports import Comparison, Evaluated, Exported
from pipeline.runtime.bundle import open_bundle, read_manifest
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.rows import Score
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import run_self_test
from pipeline.runtime.text import TokenizedBatch
from pipeline.stages import check_parity, evaluate, publish, train
from pipeline.stages.acquire import Sourcing
from pipeline.stages.prepare import _ordered, _split
from pipeline.workspace import Done, Workspace
from tests.faults.cases import case

NAMES = [name for name in STAGES if name not in ("teach", "pretrain", "compare")]
WORKED = NAMES[: NAMES.index("publish")]
"""The stages whose finished work is kept; publish and promote are done every time."""


def run(workspace: Workspace, recipe: Recipe) -> Outcome:
    return run_chain(workspace, recipe, Sourcing())


def done_again(outcome: Outcome) -> list[str]:
    return [step.name for step in outcome.steps if not step.was_done and step.name in WORKED]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recipe]:
    """A workspace in which the tiny recipe has run, to be copied."""
    from pipeline.recipe import parse_recipe
    from tests.conftest import TINY_RECIPE, write_tiny_corpus

    folder = tmp_path_factory.mktemp("finished")
    write_tiny_corpus(folder)
    recipe = parse_recipe("tiny", TINY_RECIPE, folder=folder)
    run(Workspace(folder / "artifacts"), recipe)
    return folder / "artifacts", recipe


@pytest.fixture
def copied(finished: tuple[Path, Recipe], tmp_path: Path) -> tuple[Workspace, Recipe]:
    shutil.copytree(finished[0], tmp_path / "copied", symlinks=True)
    return Workspace(tmp_path / "copied"), finished[1]


def changed(recipe: Recipe, room: str, **settings: Any) -> Recipe:
    return recipe.model_copy(update={room: getattr(recipe, room).model_copy(update=settings)})


def test_the_bundle_is_whole_promoted_and_scores(finished: tuple[Path, Recipe]) -> None:
    bundle = open_bundle(finished[0] / "current")
    scorer = Scorer(bundle)
    assert run_self_test(bundle, scorer).rows > 20
    assert bundle.manifest is not None
    assert bundle.manifest.metrics["accuracy"] > 0.7
    assert sorted(path.name for path in (finished[0] / "current").iterdir()) == [
        "README.md",
        "golden.jsonl",
        "manifest.json",
        "model.onnx",
    ]


def test_the_bundle_carries_what_its_scorer_sees_of_the_validation_reviews(
    finished: tuple[Path, Recipe],
) -> None:
    artifacts, recipe = finished
    [train_file] = (artifacts / "runs/tiny/acquire").glob("*/train.jsonl")
    given = _ordered(load_reviews(train_file), recipe.training)
    _, validation = _split(given, recipe.training.validation_split)
    scores = Scorer.load(artifacts / "current").score_reviews([review.text for review in validation])
    scored = [score for score in scores if isinstance(score, Score)]
    found = Histograms()
    found.add(
        scores=np.array([score.score for score in scored]),
        tokens=np.array([score.tokens for score in scored]),
        unknown_share=np.array([score.unknown_share for score in scored]),
    )
    assert found.total == 80
    assert Histograms.from_record(read_manifest(artifacts / "current").reference) == found


def test_a_second_run_does_nothing_again_and_publishes_the_same(copied: tuple[Workspace, Recipe]) -> None:
    before = read_manifest(copied[0].current).digest
    outcome = run(*copied)
    assert done_again(outcome) == []
    assert outcome.published.digest == before
    assert outcome.promoted.is_promoted


def test_another_workspace_gives_the_same_bundle_byte_for_byte(
    finished: tuple[Path, Recipe], workspace: Workspace
) -> None:
    outcome = run(workspace, finished[1])
    assert done_again(outcome) == WORKED
    assert outcome.published.digest == read_manifest(finished[0] / "current").digest


@pytest.mark.parametrize(
    ("room", "settings", "again"),
    [
        ("gates", {"above_chance": 0.01}, ["evaluate", "check_parity"]),
        ("evaluation", {"threshold": 0.501}, ["evaluate", "export", "check_parity"]),
        ("training", {"epochs": 4}, ["train", "evaluate", "export", "check_parity"]),
        ("training", {"order_seed": 5}, ["prepare", "train", "evaluate", "export", "check_parity"]),
        ("corpus", {"test_share": 0.3}, ["acquire"]),
    ],
    ids=["gates", "threshold", "epochs", "order", "unused setting"],
)
def test_a_changed_setting_costs_the_stages_that_depend_on_it(
    room: str, settings: dict[str, Any], again: list[str], copied: tuple[Workspace, Recipe]
) -> None:
    workspace, recipe = copied
    assert done_again(run(workspace, changed(recipe, room, **settings))) == again


def test_the_table_says_what_the_reviews_were(copied: tuple[Workspace, Recipe]) -> None:
    table = outcome_table(run(*copied))
    assert (
        table.splitlines()[-1].strip()
        == "the reviews: files, UNVERIFIED: no published or stated checksum vouches for them"
    )
    for word in (
        "accuracy",
        "16 of 16 passed",
        "largest difference",
        "acquire",
        "done before",
        "resenha score",
    ):
        assert word in table


def test_the_test_reviews_pages_are_written_for_people(copied: tuple[Workspace, Recipe]) -> None:
    [page] = (copied[0].root / "runs/tiny/evaluate").glob("*/evaluation.md")
    assert "On 120 test reviews" in page.read_text("utf-8")
    [page] = (copied[0].root / "runs/tiny/prepare").glob("*/data.md")
    assert "| Reviews | 400 | 120 |" in page.read_text("utf-8")


# Networks that must not ship


def planted(kind: str) -> Any:
    """Give a stand-in for fit_network that trains a network with the named fault."""

    def fit(
        model: Any, network: Any, training: Any, train_split: Any, validation: Any, **watched: Any
    ) -> Any:
        ids, labels = train_split
        if kind == "at chance":
            labels = np.random.default_rng(0).integers(0, 2, len(labels)).astype(np.int32)
        if kind == "diverged":
            training = training.model_copy(update={"learning_rate": 1e30})
        measured = fit_network(model, network, training, (ids, labels), validation, **watched)
        if kind == "inverted":
            *inner, kernel, bias = model.get_weights()
            model.set_weights([*inner, -kernel, -bias])
        if kind == "collapsed":
            model.set_weights([*model.get_weights()[:-1], np.array([9.0], dtype=np.float32)])
        if kind == "diverged":
            model.set_weights([weight * np.nan for weight in model.get_weights()])
        return measured

    return fit


@pytest.mark.parametrize(
    ("kind", "gate", "says"),
    [
        pytest.param(
            "inverted",
            "not_inverted",
            "1 − it would be ",
            marks=case("Pipeline", "training that ends below chance"),
        ),
        pytest.param(
            "collapsed",
            "not_collapsed",
            "get the same label",
            marks=case("Pipeline", "training that collapses to one class"),
        ),
        pytest.param(
            "diverged", "finite", "80 of 80 scores are NaN", marks=case("Pipeline", "training that turns NaN")
        ),
        pytest.param(
            "at chance",
            "above_chance",
            "has learnt nothing that helps",
            marks=case("Pipeline", "training that ends at chance"),
        ),
    ],
)
def test_a_network_that_must_not_ship_is_refused_and_current_stays(
    kind: str, gate: str, says: str, copied: tuple[Workspace, Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, recipe = copied
    before = os.readlink(workspace.current)
    bundles = sorted(workspace.bundles.rglob("*"))
    shutil.rmtree(workspace.root / "runs/tiny/train")
    monkeypatch.setattr(train, "fit_network", planted(kind))
    with pytest.raises(GateError, match=f"(?s)gate {gate}: .*{says}.*evaluation.md"):
        run(workspace, recipe)
    assert os.readlink(workspace.current) == before
    assert sorted(workspace.bundles.rglob("*")) == bundles
    # Nothing was trained anew, and the refusal stands all the same.
    monkeypatch.undo()
    with pytest.raises(GateError, match=gate):
        run(workspace, recipe)


@case("Pipeline", "training that turns NaN")
def test_scores_that_are_no_numbers_on_validation_alone_are_refused(
    copied: tuple[Workspace, Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, recipe = copied
    shutil.rmtree(workspace.root / "runs/tiny/evaluate")

    def break_validation(model: Any, padded: Any) -> Any:
        return predict_scores(model, padded) * np.float32(np.nan if len(padded) == 80 else 1)

    monkeypatch.setattr(evaluate, "predict_scores", break_validation)
    with pytest.raises(GateError, match="gate finite: 80, .*80 of 80 scores are NaN"):
        run(workspace, recipe)


def test_a_validation_review_without_a_word_is_not_counted() -> None:
    split = Split(
        ids=np.zeros((3, 2), np.int32),
        labels=np.array([0, 1, 1], np.int32),
        lengths=np.array([3, 0, 4], np.int32),
        unknown=np.array([1, 0, 4], np.int32),
    )
    found = Histograms()
    found.add(scores=np.array([0.1, 0.9]), tokens=np.array([3, 4]), unknown_share=np.array([0.3333, 1.0]))
    assert evaluate._count(split, np.array([0.1, 0.5, 0.9], np.float32)) == found


# Graphs that are not the network


def edit_exported(change: Any, monkeypatch: pytest.MonkeyPatch, *, untouched: str = "") -> None:
    """Let the parity check see edited graphs, all but one form."""
    whole = check_parity._choose

    def compare(recipe: Any, prepared: Any, trained: Any, exported: Done[Exported], folder: Path) -> Any:
        edited = folder / "edited"
        edited.mkdir()
        for form in exported.report.graphs:
            model = onnx.load(exported[Exported.file_of(form)])
            if form != untouched:
                change(model)
            onnx.save(model, edited / Exported.file_of(form))
        try:
            fields = vars(exported) | {"folder": edited}
            return whole(recipe, prepared, trained, Done(**fields), folder)
        finally:
            shutil.rmtree(edited)

    monkeypatch.setattr(check_parity, "_choose", compare)


def move_one_weight(tensor_of: Any) -> Any:
    def change(model: onnx.ModelProto) -> None:
        tensor = tensor_of(model)
        array = numpy_helper.to_array(tensor).copy()
        array.flat[-1] += 1e-3
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return change


def tensor_shaped(shape: tuple[int, ...]) -> Any:
    def find(model: onnx.ModelProto) -> Any:
        return next(
            tensor
            for tensor in model.graph.initializer
            if tuple(tensor.dims) == shape and tensor.data_type == onnx.TensorProto.FLOAT
        )

    return find


def swap_two_words(model: onnx.ModelProto) -> None:
    [entry] = [entry for entry in model.metadata_props if entry.key == "resenha.words"]
    words = entry.value.split("\n")
    words[3], words[4] = words[4], words[3]
    entry.value = "\n".join(words)


def swap_two_rows(model: onnx.ModelProto) -> None:
    tensor = tensor_shaped((40, 4))(model)
    array = numpy_helper.to_array(tensor).copy()
    array[[7, 8]] = array[[8, 7]]
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


@case("Pipeline", "parity broken by one weight moved 1e-3")
@pytest.mark.parametrize(
    ("change", "gate", "says"),
    [
        (
            move_one_weight(tensor_shaped((40, 4))),
            "weights",
            "1 of 201 trained values do not stand in the graph",
        ),
        (
            move_one_weight(tensor_shaped((4, 1))),
            "weights",
            "1 of 201 trained values do not stand in the graph",
        ),
        (swap_two_words, "token_ids", "have other token ids than Keras gives; first test review"),
        (
            swap_two_rows,
            "scores",
            r"Keras 0\.\d{7}, ONNX 0\.\d{7}, difference .* > tolerance 5e-05; .* labels change",
        ),
    ],
    ids=["embedding", "output", "vocabulary", "rows"],
)
def test_a_graph_that_is_not_the_network_is_refused_and_current_stays(
    change: Any, gate: str, says: str, copied: tuple[Workspace, Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, recipe = copied
    before = os.readlink(workspace.current)
    bundles = sorted(workspace.bundles.rglob("*"))
    shutil.rmtree(workspace.root / "runs/tiny/check_parity")
    edit_exported(change, monkeypatch)
    with pytest.raises(GateError, match=f"(?s)gate {gate}: .*{says}"):
        run(workspace, recipe)
    assert os.readlink(workspace.current) == before
    assert sorted(workspace.bundles.rglob("*")) == bundles


def test_the_plain_graph_is_published_where_the_lean_one_fails_its_parity(
    copied: tuple[Workspace, Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, recipe = copied
    assert read_manifest(workspace.current).graph["form"] == "float32"
    shutil.rmtree(workspace.root / "runs/tiny/check_parity")
    edit_exported(move_one_weight(tensor_shaped((4, 1))), monkeypatch, untouched=Exported.PLAIN)
    outcome = run(workspace, recipe)
    manifest = read_manifest(workspace.current)
    assert manifest.graph["form"] == Exported.PLAIN
    assert manifest.graph["operators"]["Loop"] == 1
    reasons = "; ".join(manifest.graph["refused"]["float32"])
    assert "1 of 201 trained values do not stand in the graph" in reasons
    assert reasons in outcome_table(outcome)
    assert f"Not float32: {reasons}" in (workspace.current / "README.md").read_text("utf-8")


# Weights in few bits

ANY_LOSS = {"max_quantization_loss": 1.0, "max_quantization_changes": 1.0}


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_small_weights_are_published_where_little_is_lost(
    weights: str, copied: tuple[Workspace, Recipe]
) -> None:
    workspace, recipe = copied
    recipe = changed(changed(recipe, "export", weights=weights), "gates", max_degradation=1.0, **ANY_LOSS)
    outcome = run(workspace, recipe)
    bundle = open_bundle(workspace.current)
    assert bundle.manifest is not None
    assert bundle.manifest.graph["form"] == weights == outcome.compared.form
    assert bundle.manifest.graph["refused"] == {}
    gates = {gate["name"] for gate in bundle.manifest.gates}
    assert gates >= {"quantization_loss", "quantization_changes", "weights", "scores", "company"}
    stored = {
        tensor.name: tensor.data_type for tensor in onnx.load_from_string(bundle.model).graph.initializer
    }
    assert f"embedding_{weights}" in stored
    assert "embedding" not in stored


def test_float_weights_are_published_where_small_ones_lose_too_much(
    copied: tuple[Workspace, Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, recipe = copied

    def lose_all(weights: Any, storage: Any) -> Any:
        lost = {name: values * (storage == "float32") for name, values in weights.items()}
        return store_weights(lost, storage)

    monkeypatch.setattr("pipeline.graphs.lean.store_weights", lose_all)
    outcome = run(workspace, changed(recipe, "export", weights="int8"))
    graph = read_manifest(workspace.current).graph
    assert graph["form"] == "float32"
    reasons = graph["refused"]["int8"]
    assert any(reason.startswith("quantization_loss: ") for reason in reasons)
    assert any("of 120 labels change" in reason for reason in reasons)
    assert "not int8" in outcome_table(outcome)


def test_padding_on_the_right_is_refused(
    workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One function pads for training and for scoring, so only the comparison with Keras can notice."""

    def pad_right(batch: TokenizedBatch, rows: Any, *, width: int | None = None) -> Any:
        reviews = [batch.token_ids[batch.offsets[row] : batch.offsets[row + 1]] for row in rows]
        width = width or max(map(len, reviews))
        padded = np.zeros((len(reviews), width), dtype=np.int32)
        for row, ids in zip(padded, reviews, strict=True):
            row[: len(ids)] = ids[-width:]
        return padded

    for module in ("stages.prepare", "stages.check_parity", "parity", "runtime.scorer"):
        monkeypatch.setattr(f"pipeline.{module}.pad_batch", pad_right)
    with pytest.raises(GateError, match="gate token_ids: .*Look at the text rule, the padding"):
        run(workspace, recipe)
    assert not workspace.current.exists()


def test_a_score_that_depends_on_its_company_is_refused(
    copied: tuple[Workspace, Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, recipe = copied
    shutil.rmtree(workspace.root / "runs/tiny/check_parity")
    whole = Scorer.score_ids

    def lean_on_neighbours(self: Scorer, ids: Any) -> Any:
        return whole(self, ids) + np.float32(1e-3 if len(ids) == 7 else 0)

    monkeypatch.setattr(Scorer, "score_ids", lean_on_neighbours)
    with pytest.raises(GateError, match="gate company: .*most in: batches of 7"):
        run(workspace, recipe)


# Promotion


def test_a_person_is_asked_between_the_comparison_and_the_switch(copied: tuple[Workspace, Recipe]) -> None:
    workspace, recipe = copied
    before = read_manifest(workspace.current).digest
    asked: list[Comparison] = []

    def refuse(comparison: Comparison) -> None:
        asked.append(comparison)
        msg = "no"
        raise GateError(msg)

    better = changed(recipe, "training", epochs=8)
    with pytest.raises(GateError, match="no"):
        run_chain(workspace, better, Sourcing(), approve=refuse)
    assert [comparison.promoted for comparison in asked] == [before]
    assert read_manifest(workspace.current).digest == before
    outcome = run_chain(workspace, better, Sourcing(), approve=asked.append)
    assert [step.name for step in outcome.steps] == [
        name for name in STAGES if name not in ("teach", "pretrain")
    ]
    assert read_manifest(workspace.current).digest == outcome.published.digest == asked[1].candidate


def test_less_accuracy_than_was_asked_for_is_published_and_not_promoted(
    copied: tuple[Workspace, Recipe],
) -> None:
    workspace, recipe = copied
    before = os.readlink(workspace.current)
    worse = changed(recipe, "training", epochs=1)
    worse = changed(changed(worse, "gates", above_chance=0.0), "gates", minimum_accuracy=1.0)
    with pytest.raises(GateError, match="the bundle was not promoted and artifacts/current is as it was"):
        run(workspace, worse)
    assert os.readlink(workspace.current) == before


def test_the_promoted_bundle_changes_with_a_better_one_and_history_keeps_both(
    copied: tuple[Workspace, Recipe],
) -> None:
    workspace, recipe = copied
    before = read_manifest(workspace.current).digest
    outcome = run(workspace, changed(recipe, "training", epochs=8))
    assert read_manifest(workspace.current).digest == outcome.published.digest != before
    history = [json.loads(line) for line in (workspace.root / "history.jsonl").read_text().splitlines()]
    assert [entry["digest"] for entry in history] == [before, outcome.published.digest]


def test_synthetic_reviews_never_take_the_place_of_real_ones(
    copied: tuple[Workspace, Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, recipe = copied
    before = os.readlink(workspace.current)
    make = publish._make_manifest

    def synthetic(*arguments: Any) -> Any:
        manifest = make(*arguments)
        return replace(manifest, corpus={**manifest.corpus, "provenance": "synthetic"}).sealed()

    monkeypatch.setattr(publish, "_make_manifest", synthetic)
    outcome = run(workspace, recipe)
    assert not outcome.promoted.is_promoted
    assert "NOT promoted" in outcome.promoted.note
    assert Path(outcome.published.bundle).is_dir()
    assert os.readlink(workspace.current) == before


def test_a_bundle_is_put_in_place_under_the_lock(
    copied: tuple[Workspace, Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two runs at once, the second could take away what the first has just put in a rotten one's place."""
    whole, held = publish._put_in_place, []

    def put_in_place(bundle: Path, files: dict[str, bytes]) -> None:
        with (copied[0].root / ".promotion.lock").open("w") as stream, pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(bundle)
        whole(bundle, files)

    monkeypatch.setattr(publish, "_put_in_place", put_in_place)
    bundle = run(*copied).published.bundle
    assert held == [Path(bundle)]


def test_a_published_bundle_that_rotted_is_replaced(copied: tuple[Workspace, Recipe]) -> None:
    workspace, recipe = copied
    digest = read_manifest(workspace.current).digest
    (workspace.current / "model.onnx").write_bytes(b"rotten")
    run(workspace, recipe)
    manifest = open_bundle(workspace.current).manifest
    assert manifest is not None
    assert manifest.digest == digest


# What training sees

READERS = """
import json, sys
from pathlib import Path
from pipeline.chain import call_stage, run_chain
from pipeline.recipe import load_recipe
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace

artifacts, recipe = Path(sys.argv[1]), load_recipe(sys.argv[2])
stage, readers = "", {}

def run(name, *arguments):
    global stage
    stage = name
    return call_stage(name, *arguments)

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(str(artifacts)):
        readers.setdefault(Path(arguments[0]).name, []).append(stage)

sys.addaudithook(watch)
run_chain(Workspace(artifacts), recipe, Sourcing(), run=run)
print(json.dumps({name: sorted(set(stages)) for name, stages in readers.items()}))
"""


@pytest.mark.slow
def test_nobody_reads_a_test_review_between_prepare_and_evaluate(
    workspace: Workspace, tmp_path: Path
) -> None:
    from tests.conftest import TAUGHT_RECIPE, write_tiny_corpus

    write_tiny_corpus(tmp_path)
    (tmp_path / "tiny.toml").write_text(TAUGHT_RECIPE)
    command = [sys.executable, "-c", READERS, str(workspace.root), str(tmp_path / "tiny.toml")]
    ended = subprocess.run(command, capture_output=True, check=True, text=True)
    readers = json.loads(ended.stdout.splitlines()[-1])
    assert "teach" in readers["train_reviews.jsonl"]
    assert "pretrain" in readers["unlabelled.npy"]
    assert "train" in readers["train.npz"]
    assert "evaluate" in readers["test.npz"]
    for name in ("test.jsonl", "test.npz", "test_reviews.jsonl"):
        assert not {"teach", "pretrain", "train"} & set(readers[name])


# Calibration


def test_a_calibrated_network_differs_in_its_last_layer_only(copied: tuple[Workspace, Recipe]) -> None:
    workspace, recipe = copied
    outcome = run(workspace, changed(recipe, "training", calibrate=True))
    assert done_again(outcome) == WORKED[2:]
    kept = [np.load(path) for path in (workspace.root / "runs/tiny/train").glob("*/weights.npz")]
    assert len(kept) == 2
    names = sorted(kept[0].files)
    differ = [name for name in names if not np.array_equal(kept[0][name], kept[1][name])]
    assert differ == names[-2:]


def test_calibration_does_not_hide_an_inverted_network(
    workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "fit_network", planted("inverted"))
    with pytest.raises(GateError, match="gate not_inverted"):
        run(workspace, changed(recipe, "training", calibrate=True))


# Data and interruptions


def test_a_label_missing_from_a_split_is_refused_with_its_remedy(
    workspace: Workspace, recipe: Recipe
) -> None:
    train_csv = Path(recipe.corpus.train or "")
    lines = train_csv.read_text().splitlines()
    train_csv.write_text("\n".join([lines[0], *sorted(lines[1:], key=lambda line: line[-1])]))
    with pytest.raises(DataError, match="training.order = 'shuffled' mixes"):
        run(workspace, changed(recipe, "training", order="as_given"))
    run(workspace, recipe)


@pytest.mark.parametrize(("epoch", "told"), [(1, "starts it again"), (3, "goes on after epoch 2")])
def test_ctrl_c_in_training_says_what_is_kept_of_it(
    workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, epoch: int, told: str
) -> None:
    whole = run(Workspace(workspace.root.with_name("whole")), recipe)
    end_batch = train._Progress.end_batch

    def interrupt(progress: train._Progress, loss: float) -> None:
        if progress.epoch == epoch:
            raise KeyboardInterrupt
        end_batch(progress, loss)

    monkeypatch.setattr(train._Progress, "end_batch", interrupt)
    with pytest.raises(InterruptedRun, match=f"interrupted in epoch {epoch} of 3. The same command {told};"):
        run(workspace, recipe)
    monkeypatch.undo()
    outcome = run(workspace, recipe)
    assert done_again(outcome) == WORKED[2:]
    assert outcome.published.digest == whole.published.digest
    assert not [path for path in (workspace.root / "runs/tiny/train").iterdir() if path.name[0] == "."]


KILL_IN_EPOCH = """
import os, signal, sys
from pathlib import Path
from pipeline.chain import run_chain
from pipeline.recipe import load_recipe
from pipeline.stages import train
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace

artifacts, recipe, epoch = sys.argv[1:]
batches = []

def end_batch(progress, loss):
    batches.append(progress.epoch)
    if batches.count(int(epoch)) == 4:
        os.kill(os.getpid(), signal.SIGKILL)

train._Progress.end_batch = end_batch
run_chain(Workspace(Path(artifacts)), load_recipe(recipe), Sourcing())
"""


@pytest.mark.slow
def test_kill_in_the_middle_of_an_epoch_loses_no_other_one(
    finished: tuple[Path, Recipe], workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.conftest import TINY_RECIPE, write_tiny_corpus

    write_tiny_corpus(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    for epoch in (2, 3):
        command = [
            sys.executable,
            "-c",
            KILL_IN_EPOCH,
            str(workspace.root),
            str(tmp_path / "tiny.toml"),
            str(epoch),
        ]
        killed = subprocess.run(command, capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with caplog.at_level(logging.INFO, "resenha"):
        outcome = run(workspace, finished[1])
    assert "training goes on after epoch 2 of 3" in caplog.text
    assert "epoch 2/3" not in caplog.text
    assert outcome.published.digest == read_manifest(finished[0] / "current").digest


KILL = """
import os, signal, sys
from pathlib import Path
from pipeline.chain import run_chain
from pipeline.recipe import load_recipe
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace
import pipeline.workspace, pipeline.stages.publish, pipeline.stages.promote

target, artifacts, recipe = sys.argv[1:]
do, sync = pipeline.workspace._do, pipeline.stages.publish.write_durably

def do_half(work, final, stage, report_type):
    def half(folder):
        report = work(folder)
        if stage == target:
            os.kill(os.getpid(), signal.SIGKILL)
        return report
    return do(half, final, stage, report_type)

def write_half(path, content):
    sync(path, content)
    if target == "publish":
        os.kill(os.getpid(), signal.SIGKILL)

pipeline.workspace._do = do_half
pipeline.stages.publish.write_durably = write_half
if target == "promote":
    pipeline.stages.promote.switch = lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL)
run_chain(Workspace(Path(artifacts)), load_recipe(recipe), Sourcing())
"""


@case("Pipeline", "kill -9 in any stage, then again")
@pytest.mark.slow
@pytest.mark.parametrize("stage", NAMES)
def test_after_a_kill_only_what_was_not_finished_runs_and_the_bundle_is_the_same(
    stage: str, finished: tuple[Path, Recipe], workspace: Workspace, tmp_path: Path, record_property: Any
) -> None:
    from tests.conftest import TINY_RECIPE, write_tiny_corpus

    write_tiny_corpus(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    command = [sys.executable, "-c", KILL, stage, str(workspace.root), str(tmp_path / "tiny.toml")]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not workspace.current.exists()
    outcome = run(workspace, finished[1])
    record_property("seen", f"done again: {', '.join(done_again(outcome)) or 'nothing'}")
    assert done_again(outcome) == WORKED[NAMES.index(stage) :]
    assert outcome.published.digest == read_manifest(finished[0] / "current").digest
    assert not list(workspace.root.rglob("*.tmp"))


def test_the_chain_stops_where_a_stage_fails(
    workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def refuse(name: str, *arguments: Any) -> Any:
        ran.append(name)
        if name == "evaluate":
            msg = "no"
            raise GateError(msg)
        return call_stage(name, *arguments)

    with pytest.raises(GateError):
        run_chain(workspace, recipe, Sourcing(), run=refuse)
    assert ran == NAMES[:4]


def test_a_network_is_built_as_the_recipe_says(recipe: Recipe) -> None:
    weights = [weight.shape for weight in build_network(recipe.text, recipe.network).get_weights()]
    assert weights == [(40, 4), (4, 4), (4, 4), (4,), (4, 1), (1,)]
    assert sum(int(np.prod(shape)) for shape in weights) == 201
    assert Evaluated.PAGE == "evaluation.md"
