"""What stages tell each other and their readers: a small report each, and the names of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Acquired:
    """Reviews are at hand."""

    corpus: str
    provenance: str
    archives: dict[str, str]
    """SHA-256 by name: of a file, or of the listing of a folder's files; none for ``sample``."""
    train_reviews: int
    test_reviews: int
    brings_words: bool
    unlabelled_reviews: int = 0
    """Without those that the recipe does not ask for."""

    TRAIN = "train.jsonl"
    TEST = "test.jsonl"
    UNLABELLED = "unlabelled.jsonl"
    """Not there where there are none."""
    WORDS = "words.txt"

    def __str__(self) -> str:
        counts = f"{self.train_reviews:,} reviews to learn from, {self.test_reviews:,} to test"
        more = f", {self.unlabelled_reviews:,} unlabelled" if self.unlabelled_reviews else ""
        return f"{self.corpus} ({self.provenance}), {counts}{more}"


@dataclass(frozen=True)
class Prepared:
    """Reviews are checked and turned into padded token ids."""

    reviews: dict[str, int]
    """By split: train, validation, test, and where there is a teacher, unlabelled."""
    words: int
    """Words in the vocabulary."""
    checks: dict[str, Any]
    """What was found in the data; ``data.md`` tells it to people."""

    TRAIN = "train.npz"
    VALIDATION = "validation.npz"
    TEST = "test.npz"
    TEST_REVIEWS = "test_reviews.jsonl"
    TRAIN_REVIEWS = "train_reviews.jsonl"
    """As the arrays, in their order; this and the next two are there for a teacher only."""
    VALIDATION_REVIEWS = "validation_reviews.jsonl"
    UNLABELLED_REVIEWS = "unlabelled_reviews.jsonl"
    UNLABELLED = "unlabelled.npy"
    """Padded token ids, shape ``(reviews, max_length)``, int32; there for a teacher or pretraining only."""
    WORDS = "words.txt"
    PAGE = "data.md"

    def __str__(self) -> str:
        counts = ", ".join(f"{split} {count:,}" for split, count in self.reviews.items())
        return f"{counts}; {self.words:,} words"


@dataclass(frozen=True)
class Taught:
    """A teacher has said how it would score the reviews to learn from."""

    reviews: dict[str, int]
    """How many it scored: labelled, unlabelled."""
    features: int
    """Runs of words that it knows."""
    out_of_fold_accuracy: float
    """On the labelled reviews, each scored after learning from others alone."""
    validation_accuracy: float

    LOGITS = "logits.npz"
    """``labelled`` and ``unlabelled``: a logit of the positive label a review, float32."""

    def __str__(self) -> str:
        counts = " and ".join(f"{count:,} {kind}" for kind, count in self.reviews.items())
        return (
            f"{counts} reviews scored by {self.features:,} features, out-of-fold accuracy "
            f"{self.out_of_fold_accuracy:.4f}, validation accuracy {self.validation_accuracy:.4f}"
        )


@dataclass(frozen=True)
class Pretrained:
    """A network has read the reviews, without their labels."""

    reviews: int
    surprise_at_first: float
    """Of a word that is foretold, in nats: the mean of the first tenth of all batches."""
    surprise: float
    """That of the last tenth."""

    WEIGHTS = "weights.npz"
    """What has learnt, by the names of ``network_shape.weight_names``."""

    def __str__(self) -> str:
        return (
            f"{self.reviews:,} reviews read, surprise at a word from {self.surprise_at_first:.2f} "
            f"to {self.surprise:.2f} nats"
        )


@dataclass(frozen=True)
class Trained:
    """A network has been fitted."""

    epochs: int
    """How many were done; fewer than asked for only if the loss was no longer a number."""
    kept_epoch: int
    """The epoch whose weights were kept, from 1."""
    validation_accuracy: float
    """After the kept epoch."""
    history: dict[str, list[float]]
    seconds_per_epoch: float
    """The median."""

    WEIGHTS = "weights.npz"
    MODEL = "network.keras"

    def __str__(self) -> str:
        return (
            f"{self.epochs} epochs of {self.seconds_per_epoch:.1f} s, weights of epoch {self.kept_epoch}, "
            f"validation accuracy {self.validation_accuracy:.4f}"
        )


@dataclass(frozen=True)
class Evaluated:
    """The network has been measured on the test split, and what it sees on the validation split."""

    threshold: float
    metrics: dict[str, Any]
    gates: list[dict[str, Any]]
    reference: dict[str, Any]
    """Histograms of the validation split, as ``pipeline.runtime.histograms`` records them."""

    METRICS = "evaluation.json"
    PAGE = "evaluation.md"
    PICTURE = "evaluation.png"
    """Learning curve and calibration; not there where scores are not numbers."""

    def __str__(self) -> str:
        if "accuracy" not in self.metrics:
            return "scores are not numbers"
        low, high = self.metrics["accuracy_interval"]
        return (
            f"accuracy {self.metrics['accuracy']:.4f} on {self.metrics['reviews']:,} test reviews "
            f"(95 % interval {low:.4f} to {high:.4f})"
        )


@dataclass(frozen=True)
class Exported:
    """The network is written as ONNX graphs of several forms, the preferred one first."""

    graphs: dict[str, dict[str, Any]]
    """By form: ``operators`` (type to number), ``opset``, ``bytes``."""

    PLAIN = "plain"
    """The form that tf2onnx makes, the reference; the others are lean, named by their weights."""

    @staticmethod
    def file_of(form: str) -> str:
        """Name the file that holds the graph of a form."""
        return f"{form}.onnx"

    def __str__(self) -> str:
        return " · ".join(
            f"{form} {graph['bytes']:,} bytes, {sum(graph['operators'].values())} operators"
            for form, graph in self.graphs.items()
        )


@dataclass(frozen=True)
class Compared:
    """The ONNX graphs have been held against the network, and one was chosen."""

    form: str
    """The graph that goes on; see ``Exported``."""
    parity: dict[str, Any]
    gates: list[dict[str, Any]]
    refused: dict[str, list[str]]
    """By form that would have been preferred: what its gates said."""

    def __str__(self) -> str:
        if "largest" not in self.parity:
            return "token ids differ"
        instead = "".join(f" (not {form}: {'; '.join(reasons)})" for form, reasons in self.refused.items())
        return (
            f"largest difference {self.parity['largest']:.1e} over {self.parity['rows']:,} rows, "
            f"{self.parity['labels_changed']} labels changed; graph {self.form}{instead}"
        )


@dataclass(frozen=True)
class Published:
    """The bundle is in its place."""

    bundle: str
    """Path of the bundle's folder."""
    digest: str
    gates: list[dict[str, Any]]

    def __str__(self) -> str:
        return self.bundle


@dataclass(frozen=True)
class Comparison:
    """A published bundle has been held against the promoted one, on the same test reviews."""

    candidate: str
    """The bundle's digest."""
    promoted: str | None
    """The digest of what ``artifacts/current`` names; None: nothing readable."""
    accuracy: float
    promoted_accuracy: float | None
    """None where there is none to compare with."""
    reviews: int
    only_candidate_right: int | None
    """Reviews to which only the candidate gives their label; None where they were not scored."""
    only_promoted_right: int | None
    gates: list[dict[str, Any]]
    p_value: float | None = None
    """How often chance alone would part two equally good bundles so far; see ``comparison.mcnemar``."""

    def __str__(self) -> str:
        if self.promoted_accuracy is None:
            return f"accuracy {self.accuracy:.4f} on {self.reviews:,} test reviews, compared with nothing"
        chance = "" if self.p_value is None else f" (McNemar's p {self.p_value:.2g})"
        return (
            f"accuracy {self.accuracy:.4f}, promoted {self.promoted_accuracy:.4f}, "
            f"on the same {self.reviews:,} test reviews{chance}"
        )


@dataclass(frozen=True)
class Promoted:
    """The bundle was judged, and is what ``artifacts/current`` names, or is not."""

    digest: str
    is_promoted: bool
    note: str
    comparison: Comparison

    def __str__(self) -> str:
        return f"{self.note}; {self.comparison}"
