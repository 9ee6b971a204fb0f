"""What ``model.onnx`` carries in its metadata, so that it can't meet a wrong tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pipeline.errors import BundleError
from pipeline.runtime.rows import printable
from pipeline.runtime.text import TextRule, Tokenizer

FACTS_KEY = "resenha"
WORDS_KEY = "resenha.words"
FACTS_VERSION = 1
_MOST = 2**31 - 1
"""Token ids are int32."""


@dataclass(frozen=True)
class ModelFacts:
    """Everything beside the graph that turns a text into a labelled score."""

    facts_version: int
    name: str
    """The recipe's name."""
    corpus: str
    provenance: str
    """``verified``, ``stated``, ``unverified`` or ``synthetic``: how far the data can be trusted."""
    text_rule: TextRule
    threshold: float
    """A score of at least this has the positive label."""
    labels: tuple[str, str]
    """The negative label's name, then the positive one's."""

    def to_metadata(self, words: tuple[str, ...]) -> dict[str, str]:
        """Give the entries for the graph's metadata; no word holds a line end (a filter character)."""
        return {
            FACTS_KEY: json.dumps(asdict(self), sort_keys=True),
            WORDS_KEY: "\n".join(words),
        }


def read_facts(metadata: Mapping[str, str]) -> tuple[ModelFacts, Tokenizer]:
    """Read facts and vocabulary out of a graph's metadata.

    Raises:
        BundleError: If they are missing, of another version, or inconsistent.
    """
    if FACTS_KEY not in metadata or WORDS_KEY not in metadata:
        msg = f"the graph carries no {FACTS_KEY!r} metadata: it was not exported by this project"
        raise BundleError(msg)
    try:
        record: dict[str, Any] = json.loads(metadata[FACTS_KEY])
        if record.get("facts_version") != FACTS_VERSION:
            msg = f"metadata version {record.get('facts_version')!r:.60}, this program reads {FACTS_VERSION}"
            raise BundleError(msg)
        known = {field.name for field in fields(ModelFacts)}
        if set(record) != known:
            unlike = ", ".join(sorted(printable(key) for key in set(record) ^ known))
            msg = f"unknown or missing metadata: {unlike}"
            raise BundleError(msg)
        rule = TextRule(**record["text_rule"])
        negative, positive = record["labels"]
        facts = ModelFacts(**{**record, "text_rule": rule, "labels": (negative, positive)})
        _check_ranges(facts)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        msg = f"the graph's {FACTS_KEY!r} metadata cannot be read: {printable(str(error))}"
        raise BundleError(msg) from error
    words = metadata[WORDS_KEY].split("\n")
    tokenizer = Tokenizer(rule, words)
    if len(tokenizer.words) != len(words):
        msg = (
            f"{len(words):,} words in the metadata, {len(tokenizer.words):,} fit num_words {rule.num_words:,}"
        )
        raise BundleError(msg)
    return facts, tokenizer


def _check_ranges(facts: ModelFacts) -> None:
    rule = facts.text_rule
    if {type(rule.num_words), type(rule.max_length)} != {int}:
        msg = "num_words and max_length have to be whole numbers"
        raise TypeError(msg)
    is_in_range = 5 <= rule.num_words <= _MOST and 1 <= rule.max_length <= _MOST
    if not is_in_range or rule.html_breaks not in ("keep", "blank"):
        msg = f"text rule out of range: {rule}"
        raise ValueError(msg)
    names = (facts.name, facts.corpus, facts.provenance, *facts.labels)
    if not 0 <= facts.threshold <= 1 or not all(isinstance(name, str) for name in names):
        msg = "threshold, labels or names out of range"
        raise ValueError(msg)
    "".join(names).encode()  # Half a surrogate pair could not be printed.
