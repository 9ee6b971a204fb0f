"""Reviews to scores: the one path from text to probability, in training's checks and at the edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline.errors import BundleError
from pipeline.runtime.batching import cut_batches, window_sizes
from pipeline.runtime.bundle import Bundle, named, open_bundle
from pipeline.runtime.cores import usable_cores
from pipeline.runtime.model_facts import read_facts
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.rows import Refusal, RejectCode, Score, printable
from pipeline.runtime.text import TokenizedBatch, unknown_shares

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

INPUT = "token_ids"
OUTPUT = "score"


def open_session(model: bytes) -> ort.InferenceSession:
    """Load a graph for the CPU, to be run on the thread that calls it.

    Several threads may run one session at once, which uses several cores better than threads
    inside it: a recurrence goes step by step, and a step is too small to be shared.

    Raises:
        BundleError: If ONNX Runtime refuses the graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Threads that share a session queue for its arena at every node: up to a fifth of their time.
    options.enable_cpu_mem_arena = False
    # What fails comes as an exception; standard error is for one line of ours.
    options.log_severity_level = 4
    # Bytes can be a graph in ONNX's form and another one in ONNX Runtime's: it runs what was checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        # Its second try, of the same graph with the same provider, is told on standard output.
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # ONNX Runtime's own errors share no base but Exception.
        msg = f"ONNX Runtime {ort.__version__} cannot load the graph: {printable(str(error))}"
        raise BundleError(msg) from error


def _check_face(session: ort.InferenceSession) -> None:
    face = [(node.name, node.type) for node in session.get_inputs() + session.get_outputs()]
    if face != [(INPUT, "tensor(int32)"), (OUTPUT, "tensor(float)")]:
        msg = f"the graph's face is {face}; a bundle's is int32 {INPUT!r} to float {OUTPUT!r}"
        raise BundleError(msg)


class Scorer:
    """A bundle's network and text rule, ready to score.

    Args:
        bundle: A bundle that has been read.
        threads: Batches that are scored side by side; as many as there are cores where None.
        threshold: Score from which a review has the positive label; the bundle's where None.
        shares: For how many threads batches are cut; as many as there are where None. What is
            scored together may move a score's last digit.

    Raises:
        BundleError: If the graph cannot be loaded, has another face than a bundle's, or a table of
            another size than its vocabulary.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        threshold: float | None = None,
        shares: int | None = None,
    ) -> None:
        with named(bundle.model_path):
            self._session = open_session(bundle.model)
            self.facts, self.tokenizer = read_facts(self._session.get_modelmeta().custom_metadata_map)
            _check_face(self._session)
            self.threads = threads or usable_cores()
            self._shares = shares or self.threads
            self.threshold = self.facts.threshold if threshold is None else threshold
            self._check_table()

    def _check_table(self) -> None:
        """Refuse a graph whose table has fewer or more rows than the vocabulary has ids."""
        num_words = self.facts.text_rule.num_words
        self.score_ids(np.array([[num_words - 1]], dtype=np.int32))
        try:
            self._session.run([OUTPUT], {INPUT: np.array([[num_words]], dtype=np.int32)})
        except Exception:  # noqa: BLE001  # As above; and this one is wanted.
            return
        msg = f"the graph scores the token id {num_words:,}; its vocabulary ends at {num_words - 1:,}"
        raise BundleError(msg)

    @classmethod
    def load(cls, path: Path | str, *, threads: int | None = None, threshold: float | None = None) -> Scorer:
        """Open a bundle folder, or a ``model.onnx`` alone, and make it ready."""
        return cls(open_bundle(Path(path)), threads=threads, threshold=threshold)

    def score_ids(self, token_ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Score rows of token ids as one batch, on this thread.

        Args:
            token_ids: Shape ``(batch, time)``, int32, padded on the left with 0,
                1 ≤ time ≤ ``max_length``; ids from 0 to ``num_words`` - 1.

        Returns:
            Probability of the positive label per row, shape ``(batch,)``.

        Raises:
            ValueError: If an id or the shape is out of range.
            BundleError: If the graph fails on ids within the range, or gives no score for each row.
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
            msg = f"the graph fails on token ids that its vocabulary allows: {printable(str(error))}"
            raise BundleError(msg) from error
        if scores.shape != (len(token_ids),):
            msg = f"the graph gives scores of shape {scores.shape} for {len(token_ids):,} reviews"
            raise BundleError(msg)
        return scores

    def score_batch(self, reviews: TokenizedBatch) -> NDArray[np.float32]:
        """Score tokenized reviews: those of like length together, on every thread.

        Returns:
            Probability of the positive label per review, shape ``(reviews,)``, in the order of the
            reviews; NaN for a review without a word.
        """
        return self._hand_out(reviews).scores()

    def score_reviews(self, reviews: Sequence[str]) -> list[Score | Refusal]:
        """Score texts, in their order; a text without a word gets a refusal instead."""
        sizes, first, windows = window_sizes(), 0, []
        while first < len(reviews):
            size = next(sizes)
            windows.append(self.start(reviews[first : first + size]))
            first += size
        return [result for window in windows for result in window.results()]

    def start(self, reviews: Sequence[str]) -> ScoredReviews:
        """Turn texts into token ids, and let other threads score them while the caller goes on."""
        return self._hand_out(self.tokenizer.encode_batch(reviews))

    def _hand_out(self, reviews: TokenizedBatch) -> ScoredReviews:
        batches = list(cut_batches(np.diff(reviews.offsets), self._shares))
        if self.threads == 1 or len(batches) == 1:
            return ScoredReviews(self, reviews, [(rows, None) for rows in batches])
        return ScoredReviews(
            self, reviews, [(rows, self._pool.submit(self.score_rows, reviews, rows)) for rows in batches]
        )

    def close(self) -> None:
        """Let the threads go; what they have not begun is not done. Scoring starts new ones."""
        if "_pool" in vars(self):
            vars(self).pop("_pool").shutdown(wait=False, cancel_futures=True)

    def score_rows(self, reviews: TokenizedBatch, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score tokenized reviews by their numbers, as one batch, on this thread; each has to hold a word."""
        return self.score_ids(pad_batch(reviews, rows))

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        # It brings logging along, which a single review need not wait for.
        from concurrent.futures import ThreadPoolExecutor

        # The thread that waits for scores is one of those that work.
        return ThreadPoolExecutor(self.threads - 1, thread_name_prefix="resenha")


class ScoreColumns(NamedTuple):
    """What is known of each of some reviews, arrays of shape ``(reviews,)``."""

    scores: NDArray[np.float64]
    """Float32 in their shortest decimal form; not finite where a review has no score."""
    is_positive: NDArray[np.bool_]
    tokens: NDArray[np.int64]
    unknown: NDArray[np.int64]
    """Words that are not in the vocabulary."""
    unknown_share: NDArray[np.float64]
    """Of all words, rounded to four digits."""
    truncated: NDArray[np.bool_]


@dataclass(frozen=True)
class ScoredReviews:
    """Tokenized reviews and their scores, some of which may still be on their way."""

    scorer: Scorer
    reviews: TokenizedBatch
    batches: Sequence[tuple[NDArray[np.int64], Future[NDArray[np.float32]] | None]]
    """Numbers of the reviews in a batch, and its scores where another thread may have begun."""

    def scores(self) -> NDArray[np.float32]:
        """Score what no thread has begun, and wait for the rest; see ``Scorer.score_batch``."""
        scores = np.full(len(self.reviews), np.nan, dtype=np.float32)
        begun = []
        for rows, found in self.batches:
            if found is None or found.cancel():
                scores[rows] = self.scorer.score_rows(self.reviews, rows)
            else:
                begun.append((rows, found))
        for rows, found in begun:
            scores[rows] = found.result()
        return scores

    @cached_property
    def columns(self) -> ScoreColumns:
        """Wait for the scores, and give what is known of every review."""
        reviews, scores = self.reviews, shortest_decimals(self.scores())
        share = unknown_shares(reviews.unknown, reviews.tokens)
        is_positive = scores >= self.scorer.threshold
        return ScoreColumns(scores, is_positive, reviews.tokens, reviews.unknown, share, reviews.truncated)

    def results(self) -> list[Score | Refusal]:
        """Wait for the scores; see ``Scorer.score_reviews``."""
        labels, columns = self.scorer.facts.labels, self.columns
        scores, is_positive, tokens, _unknown, unknown_share, truncated = (each.tolist() for each in columns)
        results: list[Score | Refusal] = [
            Score(score, labels[is_positive], tokens, unknown_share, is_cut)
            for score, is_positive, tokens, unknown_share, is_cut in zip(
                scores, is_positive, tokens, unknown_share, truncated, strict=True
            )
        ]
        for row in np.flatnonzero(~np.isfinite(columns.scores)).tolist():
            results[row] = _refusal(tokens[row], scores[row])
        return results


def shortest_decimals(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give for each float32 the shortest decimal that is it: 0.1, not 0.10000000149011612.

    Returns:
        What ``float(str(value))`` gives, a hundred times as fast; NaN and infinities stay.
    """
    exact = values.astype(np.float64)
    shortest = exact.copy()
    # Between these limits the power of ten is exact in float64, so that the quotient is the decimal.
    is_plain = (exact >= 1e-13) & (exact < 1e6)
    left = np.flatnonzero(is_plain)
    # Six digits hold every shorter decimal; nine tell any two float32 apart.
    for digits in range(6, 10):
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(exact[left])))
        shortest[left] = np.rint(exact[left] * scale) / scale
        left = left[shortest[left].astype(np.float32) != values[left]]
    for row in np.flatnonzero(~is_plain & np.isfinite(exact)):
        shortest[row] = float(str(values[row]))
    return shortest


def _refusal(tokens: int, score: float) -> Refusal:
    if not tokens:
        return Refusal(RejectCode.NO_TOKENS, "holds no word")
    return Refusal(RejectCode.NOT_FINITE, f"the network's score is {score}")
