"""Reviews to scores: the one path from text to probability, in training's checks and at the edge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline.errors import BundleError
from pipeline.runtime.bundle import Bundle, open_bundle
from pipeline.runtime.model_facts import read_facts
from pipeline.runtime.padding import pad_reviews
from pipeline.runtime.rows import Refusal, RejectCode, Score
from pipeline.runtime.text import TokenizedReview

INPUT = "token_ids"
OUTPUT = "score"
BATCH_SIZE = 256


def open_session(model: bytes, *, threads: int = 1) -> ort.InferenceSession:
    """Load a graph for the CPU.

    Args:
        model: The bytes of a graph in one file.
        threads: Threads inside the session.

    Raises:
        BundleError: If ONNX Runtime refuses the graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no base but Exception.
        msg = f"ONNX Runtime {ort.__version__} cannot load the graph: {error}"
        raise BundleError(msg) from error


class Scorer:
    """A bundle's network and text rule, ready to score.

    Args:
        bundle: A bundle that has been read.
        threads: Threads inside ONNX Runtime; recurrent graphs gain nothing from a second one.
        threshold: Score from which a review has the positive label; the bundle's where None.

    Raises:
        BundleError: If the graph cannot be loaded or has another face than a bundle's.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, threshold: float | None = None) -> None:
        self._session = open_session(bundle.model, threads=threads)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.facts, self.tokenizer = read_facts(metadata)
        self.threshold = self.facts.threshold if threshold is None else threshold
        face = [(node.name, node.type) for node in self._session.get_inputs() + self._session.get_outputs()]
        if face != [(INPUT, "tensor(int32)"), (OUTPUT, "tensor(float)")]:
            msg = f"the graph's face is {face}; a bundle's is int32 {INPUT!r} to float {OUTPUT!r}"
            raise BundleError(msg)
        # The last id: a table with fewer rows than the vocabulary needs fails here, not in a run.
        self.score_ids(np.array([[self.facts.text_rule.num_words - 1]], dtype=np.int32))

    @classmethod
    def load(cls, path: Path | str, *, threads: int = 1, threshold: float | None = None) -> Scorer:
        """Open a bundle folder, or a ``model.onnx`` alone, and make it ready."""
        return cls(open_bundle(Path(path)), threads=threads, threshold=threshold)

    def score_ids(self, token_ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Score rows of token ids.

        Args:
            token_ids: Shape ``(batch, time)``, int32, padded on the left with 0,
                1 ≤ time ≤ ``max_length``; ids from 0 to ``num_words`` - 1.

        Returns:
            Probability of the positive label per row, shape ``(batch,)``.

        Raises:
            ValueError: If an id or the shape is out of range.
            BundleError: If the graph fails on ids within the range.
        """
        rule = self.facts.text_rule
        if token_ids.ndim != 2 or not 1 <= token_ids.shape[1] <= rule.max_length:
            msg = f"token_ids has shape {token_ids.shape}; wanted (batch, 1 to {rule.max_length})"
            raise ValueError(msg)
        if len(token_ids) == 0:
            return np.zeros(0, dtype=np.float32)
        # ONNX Runtime's Gather takes -1 for the last row without a word.
        if token_ids.min() < 0 or token_ids.max() >= rule.num_words:
            msg = f"token ids from {token_ids.min()} to {token_ids.max()}; wanted 0 to {rule.num_words - 1}"
            raise ValueError(msg)
        try:
            scores: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: token_ids})[0]
        except Exception as error:  # As above: no common base.
            msg = f"the graph fails on token ids that its vocabulary allows: {error}"
            raise BundleError(msg) from error
        return scores

    def score_reviews(self, reviews: Sequence[str], *, batch_size: int = BATCH_SIZE) -> list[Score | Refusal]:
        """Score texts, in their order; a text without a word gets a refusal instead."""
        tokenized = [self.tokenizer.encode(review) for review in reviews]
        rated = [review for review in tokenized if review.tokens]
        scores = iter(self._score_tokenized(rated, batch_size))
        return [
            self._result(review, next(scores))
            if review.tokens
            else Refusal(RejectCode.NO_TOKENS, "holds no word")
            for review in tokenized
        ]

    def _score_tokenized(self, reviews: Sequence[TokenizedReview], batch_size: int) -> Iterator[np.float32]:
        for start in range(0, len(reviews), batch_size):
            batch = [review.token_ids for review in reviews[start : start + batch_size]]
            yield from self.score_ids(pad_reviews(batch, max(map(len, batch))))

    def _result(self, review: TokenizedReview, score: np.float32) -> Score | Refusal:
        if not np.isfinite(score):
            return Refusal(RejectCode.NOT_FINITE, f"the network's score is {score}")
        # The shortest decimal that is this float32: 0.1, not 0.10000000149011612.
        value = float(str(score))
        return Score(
            score=value,
            label=self.facts.labels[value >= self.threshold],
            tokens=review.tokens,
            unknown_share=round(review.unknown / review.tokens, 4),
            truncated=review.truncated,
        )
