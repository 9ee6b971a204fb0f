from __future__ import annotations

import statistics

import pytest

from pipeline.corpora.sample import make_sample
from pipeline.workspace import fingerprint


@pytest.mark.parametrize("with_unlabelled", [False, True])
def test_the_sample_is_the_same_everywhere_and_every_time(with_unlabelled: bool) -> None:
    corpus = make_sample(with_unlabelled=with_unlabelled)
    content = [[review.text, review.label] for review in (*corpus.train, *corpus.test)]
    assert fingerprint(content) == "f197180f8882b0a9f6f431db30fb174952606544a0893cb1a37b9f8314f6e39c"


def test_its_unlabelled_reviews_are_others_and_the_same_everywhere() -> None:
    corpus = make_sample(with_unlabelled=True)
    assert len(set(corpus.unlabelled)) == 4_000
    assert not {review.text for review in (*corpus.train, *corpus.test)} & set(corpus.unlabelled)
    assert (
        fingerprint(corpus.unlabelled) == "0a0f825ad8da7e39c7d174001355afbbc306454d42e08b265a3c49bef1784da0"
    )


def test_half_of_the_sample_is_positive_and_its_lengths_are_like_real_ones() -> None:
    corpus = make_sample()
    for split, count in ((corpus.train, 5_000), (corpus.test, 1_500)):
        assert len(split) == count
        assert sum(review.label for review in split) * 2 == count
    lengths = [len(review.text.split()) for review in corpus.train]
    assert 150 < statistics.median(lengths) < 200
    assert max(lengths) > 900
    assert min(lengths) < 6


def test_no_review_of_the_sample_stands_there_twice() -> None:
    corpus = make_sample()
    assert len({review.text for review in (*corpus.train, *corpus.test)}) == 6_500
