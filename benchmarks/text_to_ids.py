"""Contest: text to token ids, against the rule written plainly and against Hugging Face tokenizers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.machine import is_installed
from benchmarks.pairing import take_turns
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, spread_text
from benchmarks.targets import Figure
from pipeline.errors import ResenhaError
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.text import INDEX_FROM, KERAS_FILTERS, START_ID, UNKNOWN_ID, Tokenizer, split_words

_SHORT_WORDS, _LONG_WORDS = 5, 20_000
_TO_CYRILLIC = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувщчызьъжшэю"[:26])
_NOTES = (
    "HF tokenizers: `WordLevel` with the same vocabulary, `Lowercase`, `Split` at the same characters",
    "they run `encode_batch_fast`, and their ids are left inside its encodings",
    "ours were held against split and dict on every text first",
    "Cyrillic: the same reviews with their Latin letters replaced",
)
Encode = Callable[[], Any]


def measure(setting: Setting) -> Section:
    """Compare on whole reviews, very short texts, very long ones, and letters beyond Latin."""
    scorer = Scorer.load(setting.bundle)
    rows, figures = [], {}
    for name, texts in _workloads(setting).items():
        contenders = _contenders(scorer, texts, setting.threads)
        same = _check(scorer.tokenizer, texts, contenders)
        rounds = take_turns(contenders)
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        cells = [name, f"{len(texts):,}"]
        for contender in ("plain", "tokenizers", "ours"):
            if contender not in contenders:
                cells.append("not installed")
                continue
            rate = rounds.rate(contender, len(texts))
            cells.append(f"{spread_text(rate)}, {megabytes * rate.median / len(texts):.1f} MB/s")
        rivals = [each for each in ("plain", "tokenizers") if each in contenders]
        cells += [spread_text(rounds.ratio(rival, "ours"), "×") for rival in rivals]
        cells += ["–"] * (2 - len(rivals)) + [same]
        rows.append(cells)
        if name == "reviews" and "tokenizers" in contenders:
            figures[Figure.IDS_OVER_TOKENIZERS] = rounds.ratio("tokenizers", "ours")
    head = ["texts", "number", "split and dict", f"HF tokenizers, {setting.threads} cores", "ours, 1 core"]
    head += ["ours × dict", "ours × tokenizers", "tokenizers' ids are ours in"]
    return Section([Table("text→ids: texts/s", head, rows, _NOTES)], figures)


def _workloads(setting: Setting) -> dict[str, list[str]]:
    reviews = [review.text for review in setting.test]
    words = " ".join(reviews).split(" ")
    cut = {
        size: [" ".join(words[start : start + size]) for start in range(0, len(words) - size + 1, size)]
        for size in (_SHORT_WORDS, _LONG_WORDS)
    }
    return {
        "reviews": reviews,
        f"{_SHORT_WORDS} words": cut[_SHORT_WORDS][:20_000],
        f"{_LONG_WORDS:,} words": cut[_LONG_WORDS][:20],
        "Cyrillic": [text.lower().translate(_TO_CYRILLIC) for text in setting.some_test_texts(2_000)],
    }


def _contenders(scorer: Scorer, texts: Sequence[str], threads: int) -> dict[str, Encode]:
    tokenizer = scorer.tokenizer
    contenders: dict[str, Encode] = {"plain": lambda: _encode_plainly(tokenizer, texts)}
    if is_installed("tokenizers"):
        rival = _hugging_face(tokenizer, threads)
        contenders["tokenizers"] = lambda: rival.encode_batch_fast(texts, add_special_tokens=False)
    contenders["ours"] = lambda: tokenizer.encode_batch(texts)
    return contenders


def _encode_plainly(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The text rule with nothing done for speed."""
    known = {word: rank + INDEX_FROM for rank, word in enumerate(tokenizer.words, start=1)}
    rule = tokenizer.rule
    return [
        [START_ID, *(known.get(word, UNKNOWN_ID) for word in split_words(text, rule.html_breaks))][
            -rule.max_length :
        ]
        for text in texts
    ]


def _hugging_face(tokenizer: Tokenizer, threads: int) -> Any:
    # Both are read when the first batch is encoded.
    os.environ.update(TOKENIZERS_PARALLELISM="true", RAYON_NUM_THREADS=str(threads))
    from tokenizers import Regex, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as HuggingFaceTokenizer

    vocabulary = {word: rank + INDEX_FROM for rank, word in enumerate(tokenizer.words, start=1)}
    unknown = "<unknown>"
    model = models.WordLevel({**vocabulary, unknown: UNKNOWN_ID}, unk_token=unknown)
    rival: Any = HuggingFaceTokenizer(model)
    rival.normalizer = normalizers.Lowercase()
    # Of nine ways to split, the quickest of those that find the same words.
    rival.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{re.escape(KERAS_FILTERS + ' ')}]+"), "removed")
    return rival


def _check(tokenizer: Tokenizer, texts: Sequence[str], contenders: dict[str, Encode]) -> str:
    """Refuse to go on if our ids are wrong; say in how many texts the rival's are the same."""
    expected = _encode_plainly(tokenizer, texts)
    batch = tokenizer.encode_batch(texts)
    ours = np.split(batch.token_ids, batch.offsets[1:-1])
    for text, ids, found_ids in zip(texts, expected, ours, strict=True):
        if found_ids.tolist() != (ids if len(ids) > 1 else []):
            msg = f"our token ids of {text[:60]!r} are not those of the rule"
            raise ResenhaError(msg)
    contenders["ours"]()
    if "tokenizers" not in contenders:
        return "–"
    limit = tokenizer.rule.max_length
    same = sum(
        [START_ID, *found.ids][-limit:] == ids
        for found, ids in zip(contenders["tokenizers"](), expected, strict=True)
    )
    return f"{same / len(texts):.1%}"
