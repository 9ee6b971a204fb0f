"""Rivals that learn from the same reviews, kept on disk so that a second run is quick."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.setting import Setting

FASTTEXT: dict[str, dict[str, Any]] = {
    "fastText unigrams": {"dim": 100, "wordNgrams": 1},
    "fastText unigrams, 10 dimensions": {"dim": 10, "wordNgrams": 1},
    "fastText bigrams, 10 dimensions": {"dim": 10, "wordNgrams": 2, "lr": 0.5, "epoch": 10},
}
"""Options beside fastText's own defaults. Ten dimensions are what its authors use for sentiment:
Joulin et al., "Bag of Tricks for Efficient Text Classification", 2016, section 3.1; so small a
network takes more learning with bigrams."""
POSITIVE = "__label__1"


def on_one_line(texts: Sequence[str]) -> list[str]:
    """Give texts as fastText takes them: it reads a line end as the end of the text."""
    return [text.replace("\n", " ") for text in texts]


def fasttext_model(name: str, setting: Setting) -> tuple[Any, Path]:
    """Give a trained fastText model and its file."""
    import fasttext

    path = setting.cache / f"{name.replace(' ', '-').replace(',', '')}.bin"
    _make_once(path, lambda new: _train_fasttext(new, FASTTEXT[name], setting))
    return fasttext.load_model(str(path)), path


def _train_fasttext(path: Path, options: dict[str, Any], setting: Setting) -> None:
    import fasttext

    # It learns line by line, and archives lie in the order of labels.
    reviews = random.Random(1).sample(list(setting.train), len(setting.train))
    lines = path.with_suffix(".txt")
    texts = on_one_line([review.text for review in reviews])
    lines.write_text(
        "".join(f"__label__{review.label} {text}\n" for review, text in zip(reviews, texts, strict=True)),
        "utf-8",
    )
    model = fasttext.train_supervised(str(lines), thread=setting.threads, verbose=0, **options)
    model.save_model(str(path))
    lines.unlink()


def tfidf_model(setting: Setting) -> tuple[Any, Path]:
    """Give TF-IDF over words and pairs of words with logistic regression, and its file."""
    import joblib

    path = setting.cache / "tfidf.joblib"
    _make_once(path, lambda new: joblib.dump(_train_tfidf(setting), new))
    return joblib.load(path), path


def _train_tfidf(setting: Setting) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    return model.fit([review.text for review in setting.train], [review.label for review in setting.train])


def _make_once(path: Path, make: Callable[[Path], Any]) -> None:
    """Make a file under another name first, so that one that is there is whole."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    make(temporary)
    temporary.replace(path)
