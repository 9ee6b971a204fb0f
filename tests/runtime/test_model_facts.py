"""What a graph carries beside its weights, and which of it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import BundleError
from pipeline.runtime.model_facts import FACTS_KEY, WORDS_KEY, read_facts
from tests.stand_ins import WORDS, make_facts


def metadata(change: Callable[[dict[str, Any]], object] = lambda record: record) -> dict[str, str]:
    entries = make_facts().to_metadata(WORDS)
    record = json.loads(entries[FACTS_KEY])
    change(record)
    return {**entries, FACTS_KEY: json.dumps(record)}


def test_facts_and_words_are_read_as_they_were_written() -> None:
    facts, tokenizer = read_facts(make_facts().to_metadata(WORDS))
    assert facts == make_facts()
    assert tokenizer.words == WORDS
    assert tokenizer.rule == facts.text_rule


@pytest.mark.parametrize(
    "word", ["é", "映画", "don't", "a\u00a0b", "a\u0085b", "a\u2028b", "a\rb", "a\x0bb"], ids=ascii
)
def test_every_word_the_rule_produces_survives(word: str) -> None:
    words = (*WORDS[:-1], word)
    assert read_facts(make_facts(words=words).to_metadata(words))[1].words == words


def test_other_metadata_is_not_looked_at() -> None:
    assert read_facts({**metadata(), "other": "x"})[0] == make_facts()


@pytest.mark.parametrize("key", [FACTS_KEY, WORDS_KEY])
def test_a_graph_without_facts_is_refused(key: str) -> None:
    entries = metadata()
    del entries[key]
    with pytest.raises(BundleError, match="was not exported by this project"):
        read_facts(entries)


@pytest.mark.parametrize("version", [0, 2, None, "1"], ids=repr)
def test_another_version_is_refused(version: object) -> None:
    with pytest.raises(BundleError, match="metadata version"):
        read_facts(metadata(lambda record: record.update(facts_version=version)))


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(BundleError, match="surprise"):
        read_facts(metadata(lambda record: record.update(surprise=1)))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update({"\n\u202e": 1}),
        lambda record: record["text_rule"].update({"\n\u202e": 1}),
        lambda record: record.update(facts_version="\n\u202e"),
    ],
    ids=["key", "key of the rule", "version"],
)
def test_a_refusal_shows_text_from_outside_escaped(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(BundleError, match=r"\\u202e") as refusal:
        read_facts(metadata(change))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("key", ["name", "text_rule", "threshold", "labels"])
def test_a_missing_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(BundleError, match=key):
        read_facts(metadata(lambda record: record.pop(key)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_words", 4),
        ("num_words", 14.0),
        ("num_words", "14"),
        ("num_words", True),
        ("num_words", 2**31),
        ("max_length", 0),
        ("max_length", 2**31),
        ("max_length", None),
        ("html_breaks", "drop"),
        ("html_breaks", []),
        ("surprise", 1),
    ],
)
def test_a_text_rule_out_of_range_is_refused(key: str, value: object) -> None:
    with pytest.raises(BundleError):
        read_facts(metadata(lambda record: record["text_rule"].update({key: value})))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", -0.1),
        ("threshold", 1.1),
        ("threshold", float("nan")),
        ("threshold", "0.5"),
        ("threshold", None),
        ("labels", ["one"]),
        ("labels", ["one", "two", "three"]),
        ("labels", ["one", 2]),
        ("labels", None),
        ("labels", ["one", "\ud800"]),
        ("name", 7),
        ("name", "\udfff"),
        ("corpus", None),
        ("provenance", ["verified"]),
        ("text_rule", None),
        ("text_rule", []),
    ],
)
def test_facts_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(BundleError):
        read_facts(metadata(lambda record: record.update({key: value})))


@pytest.mark.parametrize("threshold", [0, 0.5, 1])
def test_a_threshold_from_0_to_1_is_read(threshold: float) -> None:
    facts, _ = read_facts(metadata(lambda record: record.update(threshold=threshold)))
    assert facts.threshold == threshold


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", "[" * 100_000],
    ids=["empty", "cut", "list", "number", "null", "deep"],
)
def test_facts_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(BundleError):
        read_facts({**metadata(), FACTS_KEY: text})


@pytest.mark.parametrize(
    "words",
    ["", "good\ngood", "good\n", "Good", "a b", "\n".join(["a", *map(str, range(20))])],
    ids=["none", "twice", "empty", "upper case", "blank", "too many"],
)
def test_a_vocabulary_that_does_not_fit_is_refused(words: str) -> None:
    with pytest.raises(BundleError):
        read_facts({**metadata(), WORDS_KEY: words})
