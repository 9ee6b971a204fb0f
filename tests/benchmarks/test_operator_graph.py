from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks import ours
from benchmarks.networks import NETWORKS, Network, draw_network
from benchmarks.onnx_rivals import best_way
from benchmarks.operator_graph import export_operator, is_one_operator
from pipeline.graphs.portable import export_portable
from pipeline.networks.recurrent import predict_scores
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.scorer import open_session
from pipeline.runtime.text import TextRule
from tests.stand_ins import make_scorer

RULE = TextRule(num_words=40, max_length=12, html_breaks="keep")
OPERATORS = {"simple": "RNN", "gru": "GRU", "lstm": "LSTM"}
SOURCE = np.random.default_rng(5)
REVIEWS = [SOURCE.integers(1, 40, length).tolist() for length in (1, 2, 11, 12, 5, 7, 12)]
ROWS = np.array([[0] * (RULE.max_length - len(ids)) + ids for ids in REVIEWS], dtype=np.int32)


def has_operator(network: Network) -> bool:
    return is_one_operator(network.settings)


@pytest.mark.parametrize(
    "network", [each for each in NETWORKS if not has_operator(each)], ids=lambda network: network.name
)
def test_a_network_without_an_operator_scores_reviews_apart_and_as_its_plain_graph_does(
    network: Network,
) -> None:
    model = draw_network(network, RULE)
    expected = predict_scores(model, ROWS)
    assert np.ptp(expected) > 0.01
    session = open_session(export_portable(model, RULE.max_length).SerializeToString())
    assert session.run(["score"], {"token_ids": ROWS})[0] == pytest.approx(expected, abs=1e-6)


def test_no_operator_is_a_rival_where_it_would_be_another_network() -> None:
    without = [network.name for network in NETWORKS if not has_operator(network)]
    assert without == [
        "minGRU 32",
        "minGRU 32, without padding",
        "GRU 32, two layers",
        "GRU 32, attention",
        "as recipe `small`",
    ]


@pytest.mark.parametrize("network", [*filter(has_operator, NETWORKS)], ids=lambda network: network.name)
def test_the_operator_graph_scores_as_keras_does_however_much_padding_is_left_out(network: Network) -> None:
    model = draw_network(network, RULE)
    expected = predict_scores(model, ROWS)
    assert np.ptp(expected) > 0.01
    graph = export_operator(model, RULE.max_length)
    assert Counter(node.op_type for node in graph.graph.node)[OPERATORS[network.settings.cell]] == 1
    session = open_session(graph.SerializeToString())
    assert session.run(["score"], {"token_ids": ROWS})[0] == pytest.approx(expected, abs=1e-6)
    for review, score in zip(REVIEWS, expected, strict=True):
        alone = session.run(["score"], {"token_ids": np.array([review], dtype=np.int32)})[0]
        assert alone == pytest.approx([score], abs=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2, 7, 100])
def test_every_way_to_run_a_rival_gives_every_row_its_score(batch: int, threads: int) -> None:
    model = draw_network(NETWORKS[0], RULE)
    way = best_way(
        export_portable(model, RULE.max_length).SerializeToString(), ROWS, batches=[batch], threads=threads
    )
    assert way.score() == pytest.approx(predict_scores(model, ROWS), abs=1e-6)


def test_our_scorer_of_a_network_scores_as_keras_does() -> None:
    like = make_scorer()
    model = draw_network(NETWORKS[0], like.facts.text_rule)
    scorer = ours.make_scorer(ours.make_graph(model, NETWORKS[0], like), threads=1)
    texts = ["a good film", "bad", "not a moving film but the dull film 3 good bad"]
    encoded = scorer.tokenizer.encode_batch(texts)
    rows = pad_batch(encoded, np.arange(len(texts)), width=like.facts.text_rule.max_length)
    found = scorer.score_batch(encoded)
    assert found == pytest.approx(predict_scores(model, rows), abs=1e-6)
