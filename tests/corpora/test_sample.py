from __future__ import annotations

import statistics

from pipeline.corpora.sample import make_sample
from pipeline.workspace import fingerprint


def test_the_sample_is_the_same_everywhere_and_every_time() -> None:
    corpus = make_sample()
    content = [[review.text, review.label] for review in (*corpus.train, *corpus.test)]
    assert fingerprint(content) == "41993515a204cd18966209a048cd3ed841a259d30098c57c33c9d33deb33328b"


def test_half_of_the_sample_is_positive_and_its_lengths_are_like_real_ones() -> None:
    corpus = make_sample()
    for split, count in ((corpus.train, 5_000), (corpus.test, 1_500)):
        assert len(split) == count
        assert sum(review.label for review in split) * 2 == count
    lengths = [len(review.text.split()) for review in corpus.train]
    assert 160 < statistics.median(lengths) < 210
    assert max(lengths) > 900
    assert min(lengths) < 25


def test_no_review_of_the_sample_stands_in_both_splits() -> None:
    corpus = make_sample()
    assert not {review.text for review in corpus.train} & {review.text for review in corpus.test}
