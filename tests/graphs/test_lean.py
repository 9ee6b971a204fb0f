from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pipeline.graphs.checks import check_graph, float_weights
from pipeline.graphs.lean import export_lean
from pipeline.graphs.quantized import expanded_weights, store_weights
from pipeline.network_shape import weight_names
from pipeline.networks.recurrent import build_network, predict_scores
from pipeline.recipe import NetworkSettings, Storage, TextSettings
from pipeline.runtime.scorer import open_session
from tests.runtime.altered_models import refusals_beside

LENGTH, WORDS = 24, 50
TEXT = TextSettings(num_words=WORDS, max_length=LENGTH)
NGRAMS = {"longest": 3, "buckets": 128}
POOLINGS = ["last", "attention", "mean", "max"]
LARGER: dict[str, dict[str, Any]] = {
    "attention": {"pooling": ["attention"]},
    "two layers": {"layers": 2},
    "everything": {"layers": 3, "bidirectional": True, "pooling": POOLINGS, "ngrams": NGRAMS},
}
SHAPES = [
    *(
        pytest.param(
            {"cell": cell, "bidirectional": both, "pooling": [pooling], "masked": masked},
            id="-".join(filter(None, (cell, "both ways" * both, pooling, "masked" * masked))),
        )
        for cell, both, pooling, masked in itertools.product(
            ("simple", "gru", "lstm", "mingru"), (False, True), ("last", "mean", "max"), (False, True)
        )
    ),
    *(
        pytest.param({"cell": cell, "masked": True, **settings}, id=f"{cell}-{name}")
        for cell, (name, settings) in itertools.product(
            ("simple", "gru", "lstm", "mingru"),
            LARGER.items(),
        )
    ),
    pytest.param(
        {"cell": "gru", "pooling": ["max", "mean"], "ngrams": NGRAMS}, id="gru-n-grams over padding"
    ),
]
STORAGES: tuple[Storage, ...] = ("float32", "int8", "int4")
STORED_SHAPES = [
    pytest.param(*shape.values, storage, id=f"{shape.id}-{storage}")
    for shape, storage in itertools.product(SHAPES, STORAGES)
    # How tables are stored has nothing to do with the rest of a shape, but for n-grams.
    if storage == "float32" or str(shape.id).endswith(("both ways-max", "everything"))
]


def make_network(cell: str, **settings: Any) -> tuple[NetworkSettings, list[Any]]:
    """Settings and weights far from any symmetry, so that a gate in another's place shows."""
    network = NetworkSettings.model_validate({"cell": cell, "embedding_size": 6, "units": 5, **settings})
    source = np.random.default_rng(3)
    shapes = [weight.shape for weight in build_network(TEXT, network).get_weights()]
    return network, [source.normal(0, 0.5, shape).astype(np.float32) for shape in shapes]


def keras_scores(network: NetworkSettings, weights: list[Any], ids: NDArray[np.int32]) -> NDArray[np.float32]:
    model = build_network(TEXT, network)
    model.set_weights(weights)
    return predict_scores(model, ids)


def rows_of_every_length() -> NDArray[np.int32]:
    """Row k has k ids; row 0 is padding only."""
    source = np.random.default_rng(4)
    ids = source.integers(1, WORDS, (LENGTH + 1, LENGTH)).astype(np.int32)
    ids[np.arange(LENGTH) < LENGTH - np.arange(LENGTH + 1)[:, None]] = 0
    return ids


def run(graph: onnx.ModelProto, ids: NDArray[np.int32]) -> Any:
    return open_session(graph.SerializeToString()).run(["score"], {"token_ids": ids})[0]


@pytest.mark.parametrize(("shape", "storage"), STORED_SHAPES)
def test_the_graph_scores_as_keras_does_with_the_weights_it_stores(
    shape: dict[str, Any], storage: Storage
) -> None:
    network, weights = make_network(**shape)
    graph = export_lean(weights, network, LENGTH, storage)
    check_graph(graph)
    stored = expanded_weights(graph)
    assert bool(stored) == (storage != "float32")
    ids = rows_of_every_length()
    trained = dict(zip(weight_names(network), weights, strict=True))
    as_stored = {name: stored.get(name, each).reshape(each.shape) for name, each in trained.items()}
    expected = keras_scores(network, list(as_stored.values()), ids)
    assert np.ptp(expected) > 0.02
    session = open_session(graph.SerializeToString())
    for size in (1, 2, 7, LENGTH + 1):
        for start in range(0, LENGTH + 1, size):
            # The rows are in the order of length: a batch is as long as its last row.
            batch = ids[start : start + size]
            longest = max(1, start + len(batch) - 1)
            found = session.run(["score"], {"token_ids": batch[:, LENGTH - longest :]})[0]
            assert found == pytest.approx(expected[start : start + size], abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_has_the_same_score_in_any_company(
    shape: dict[str, Any],
) -> None:
    network, weights = make_network(**shape)
    session = open_session(export_lean(weights, network, LENGTH, "float32").SerializeToString())
    ids = rows_of_every_length()[1:]
    together = session.run(["score"], {"token_ids": ids})[0]
    for length, score in enumerate(together, start=1):
        row = ids[length - 1 : length]
        for start in {0, LENGTH // 2, LENGTH - length}:
            if start <= LENGTH - length:
                alone = session.run(["score"], {"token_ids": row[:, start:]})[0]
                assert alone == pytest.approx([score], abs=5e-7)


@pytest.mark.parametrize("cell", ["simple", "gru", "lstm", "mingru"])
def test_ids_beyond_the_length_are_cut_on_the_left_as_padding_does(cell: str) -> None:
    network, weights = make_network(cell, bidirectional=True, pooling=["mean"])
    graph = export_lean(weights, network, LENGTH, "float32")
    ids = rows_of_every_length()
    longer = np.hstack([np.full((len(ids), 9), 7, np.int32), ids])
    assert (run(graph, longer) == run(graph, ids)).all()


@pytest.mark.parametrize(("shape", "storage"), STORED_SHAPES)
def test_the_graph_can_be_loaded_with_its_own_vocabulary_only(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    shape: dict[str, Any],
    storage: Storage,
) -> None:
    network, weights = make_network(**shape)
    graph = export_lean(weights, network, LENGTH, storage)
    fewer, own, more = refusals_beside(graph, WORDS, LENGTH, tmp_path)
    assert f"the graph scores the token id {WORDS - 1}" in fewer
    assert own == ""
    assert "the graph fails on token ids that its vocabulary allows" in more
    assert capfd.readouterr() == ("", "")


def test_every_trained_value_stands_in_the_graph() -> None:
    network, weights = make_network("gru", bidirectional=True, pooling=["max"])
    held = np.concatenate(
        [weight.ravel() for weight in float_weights(export_lean(weights, network, LENGTH, "float32"))]
    )
    for weight in weights:
        assert np.isin(weight, held).all()


@pytest.mark.parametrize(
    ("cell", "operators"),
    [
        ("simple", {"Gather": 2, "Gemm": 2, "Tanh": 1, "Scan": 1, "Sigmoid": 1}),
        ("gru", {"Gather": 2, "Gemm": 3, "Tanh": 1, "Scan": 1, "Sigmoid": 2}),
        ("lstm", {"Gather": 3, "Gemm": 2, "Tanh": 2, "Scan": 1, "Sigmoid": 4}),
    ],
)
def test_a_step_is_one_look_up_and_no_more_products_than_it_needs(
    cell: str, operators: dict[str, int]
) -> None:
    network, weights = make_network(cell, bidirectional=False, pooling=["last"])
    counts = check_graph(export_lean(weights, network, LENGTH, "float32"))
    assert {name: counts[name] for name in operators} == operators


def test_ngrams_weights_are_stored_as_int8_at_least() -> None:
    network, weights = make_network("simple", ngrams={"longest": 2, "buckets": 640})
    sizes = {s: len(export_lean(weights, network, LENGTH, s).SerializeToString()) for s in STORAGES}
    held = {tensor.name for tensor in export_lean(weights, network, LENGTH, "int4").graph.initializer}
    assert {"embedding_int4", "ngrams_int8"} <= held
    assert sizes["int8"] < sizes["float32"] - 2 * 640


def test_the_graph_holds_nothing_that_nothing_asks_for() -> None:
    network, weights = make_network("gru", masked=True)
    assert "ReduceSum" not in check_graph(export_lean(weights, network, LENGTH, "float32"))


def test_equal_weights_give_equal_bytes() -> None:
    network, weights = make_network("lstm", bidirectional=True, pooling=["mean"])
    first, second = (
        export_lean(weights, network, LENGTH, "int8").SerializeToString(deterministic=True) for _ in range(2)
    )
    assert first == second


# How an embedding is stored


def expand(embedding: NDArray[np.float32], storage: Storage) -> NDArray[np.float32]:
    constants = store_weights({"embedding": embedding}, storage)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = onnx.helper.make_graph([], "embedding", [], [], tensors)
    return expanded_weights(onnx.helper.make_model(graph))["embedding"]


@pytest.mark.parametrize(("storage", "levels"), [("int8", 127), ("int4", 7)])
def test_a_stored_value_is_off_by_little_more_than_half_a_step(storage: Storage, levels: int) -> None:
    source = np.random.default_rng(5)
    embedding = (source.normal(size=(200, 8)) * 10.0 ** source.integers(-2, 3, (200, 1))).astype(np.float32)
    step = abs(embedding).max(axis=1, keepdims=True) / levels
    assert (abs(expand(embedding, storage) - embedding) <= step * 0.56).all()


@pytest.mark.parametrize("storage", ["int8", "int4"])
def test_the_extremes_of_a_row_are_kept(storage: Storage) -> None:
    embedding = np.array([[0, 0], [1, -1], [-3, 3], [0, 5e-1], [1e2, -1e2]], dtype=np.float32)
    assert expand(embedding, storage) == pytest.approx(embedding, rel=1e-3)


@pytest.mark.parametrize("storage", ["int8", "int4"])
@pytest.mark.parametrize(
    "embedding", [[[0, 0], [0, 0]], [[1e-20, 0], [1, 1]], [[1e-45, 0], [0, 0]]], ids=repr
)
def test_a_row_too_small_for_a_scale_is_nothing(embedding: Any, storage: Storage) -> None:
    found = expand(np.array(embedding, np.float32), storage)
    assert found == pytest.approx(np.array(embedding), abs=1e-6)


def test_small_weights_take_a_quarter_and_an_eighth_of_the_room() -> None:
    embedding = np.ones((1000, 32), np.float32)
    sizes = {
        s: sum(array.nbytes for array in store_weights({"embedding": embedding}, s).values())
        for s in STORAGES
    }
    scales = 2 * len(embedding)
    assert sizes["int8"] == pytest.approx(embedding.nbytes / 4 + scales, abs=16)
    assert sizes["int4"] == pytest.approx(embedding.nbytes / 8 + scales, abs=16)
