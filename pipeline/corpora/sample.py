"""Film reviews made by a small grammar with a fixed seed: always there, never mistaken for real ones.

Each review has a stance. Most of its opinions agree with it, some say so by negating the opposite
("not dull at all"), some turn around ("everyone told me it was dull; they were wrong"), some
concede a point to the other side, and a few reviewers never make up their mind. The lengths follow
real reviews: log-normal with a median of 174 words, cut at 1,000; but one review in eight is a
sentence or three, since such are what people try a scorer with.
"""

from __future__ import annotations

import math
import random

from pipeline.corpora.corpus import Corpus, LabelledReview

SEED = 19030401
_TRAIN, _TEST, _UNLABELLED = 5_000, 1_500, 4_000
_MEDIAN_WORDS, _SPREAD, _MOST_WORDS = 174, 0.72, 1_000
_SHORT, _SHORT_WORDS = 0.125, 30
_UNDECIDED = 0.12
"""Share of reviews whose opinions follow no stance: what keeps a perfect score out of reach."""

_PRAISE = (
    "brilliant moving funny clever honest gripping warm subtle fresh charming tense graceful "
    "delightful memorable sharp inventive touching luminous witty heartfelt"
).split()
_BLAME = (
    "dull clumsy tedious predictable shallow hollow lazy confused tired loud pointless wooden "
    "forgettable messy irritating stale bland pretentious lifeless overlong"
).split()
_ASPECTS = (
    "acting|script|direction|camera work|music|dialogue|pacing|ending|first hour|second half|"
    "lead|supporting cast|editing|story|humour|romance|set design|final scene"
).split("|")
_DEGREES = ("", "rather ", "truly ", "really ", "quite ", "surprisingly ", "at times ", "utterly ")
_PEOPLE = (
    "a teacher|a retired sailor|two sisters|a young doctor|an old painter|a taxi driver|a lonely "
    "clerk|a travelling musician|a widow|a boy of ten|a detective|a cook"
).split("|")
_PLACES = (
    "a small harbour town|the capital|a mountain village|an empty hotel|a night train|the suburbs|"
    "a farm in the north|a crowded hospital|a desert outpost|an island"
).split("|")
_EVENTS = (
    "finds a letter|loses everything|meets a stranger|returns after many years|hides a secret|"
    "falls in love|is accused of a theft|takes a job nobody wants|waits for news|opens an old door"
).split("|")
_TIMES = (
    "one winter|in the nineteen fifties|after the war|on a hot summer night|over a single weekend|"
    "many years later|before the storm|during a strike"
).split("|")
_WHO = (
    "my brother|everyone|the critics|a friend|the trailer|my neighbour|every poster|the man at the till"
).split("|")
_VERDICTS = {
    1: (
        "I would see it again tomorrow.|Go and see it.|I left with a smile.|Recommended without reserve.|"
        "It stayed with me for days.|One of the best evenings I have had at the cinema."
    ).split("|"),
    0: (
        "I want my two hours back.|Stay at home.|I left before the credits.|Save your money.|"
        "I had forgotten it by the time I reached the bus.|"
        "One of the longest evenings I have had at the cinema."
    ).split("|"),
}


def make_sample(*, with_unlabelled: bool = False) -> Corpus:
    """Make the corpus: 5,000 reviews to learn from and 1,500 to test on, half positive, all different.

    Args:
        with_unlabelled: Make 4,000 more whose labels are thrown away; the others stay what they are.
    """
    source = random.Random(SEED)
    seen: set[str] = set()
    train, test = _make_split(source, _TRAIN, seen), _make_split(source, _TEST, seen)
    more = _make_split(random.Random(SEED + 1), _UNLABELLED, seen) if with_unlabelled else []
    return Corpus(train, test, unlabelled=[review.text for review in more])


def _make_split(source: random.Random, count: int, seen: set[str]) -> list[LabelledReview]:
    reviews: list[LabelledReview] = []
    while len(reviews) < count:
        label = len(reviews) % 2
        text = _make_review(source, label)
        if text not in seen:
            seen.add(text)
            reviews.append(LabelledReview(text, label))
    return reviews


def _make_review(source: random.Random, stance: int) -> str:
    wanted = min(_MOST_WORDS, round(math.exp(source.gauss(math.log(_MEDIAN_WORDS), _SPREAD))))
    if source.random() < _SHORT:
        wanted = source.randrange(_SHORT_WORDS)
    is_undecided = source.random() < _UNDECIDED
    sentences: list[str] = []
    words = 0
    while words < wanted:
        side = source.randrange(2) if is_undecided else stance
        kind = source.random()
        sentence = _plot(source) if kind < 0.6 else _opinion(source, side)
        sentences.append(sentence)
        words += sentence.count(" ") + 1
    if source.random() < 0.4:
        sentences.append(source.choice(_VERDICTS[source.randrange(2) if is_undecided else stance]))
    else:
        sentences.append(_opinion(source, source.randrange(2) if is_undecided else stance))
    return _join(source, sentences)


def _join(source: random.Random, sentences: list[str]) -> str:
    text = sentences[0]
    for sentence in sentences[1:]:
        text += ("<br /><br />" if source.random() < 0.08 else " ") + sentence
    return text


def _plot(source: random.Random) -> str:
    person, place, event, time = (source.choice(group) for group in (_PEOPLE, _PLACES, _EVENTS, _TIMES))
    return source.choice(
        (
            f"{person.capitalize()} {event} in {place}.",
            f"It is about {person} who {event} {time}.",
            f"{time.capitalize()}, {person} {event}.",
            f"We are in {place}, {time}.",
            f"Then {person} {event}, and {source.choice(_PEOPLE)} has to choose.",
            f"The film was made {time} and plays in {place}.",
        )
    )


def _opinion(source: random.Random, side: int) -> str:
    """Give a sentence that is for the film (``side`` 1) or against it, directly or by a turn."""
    agreeing, opposing = (_PRAISE, _BLAME) if side else (_BLAME, _PRAISE)
    good, bad = source.choice(agreeing), source.choice(opposing)
    other = source.choice(opposing)
    aspect, second = source.sample(_ASPECTS, 2)
    degree, who = source.choice(_DEGREES), source.choice(_WHO)
    return source.choice(
        (
            f"The {aspect} is {degree}{good}.",
            f"The {aspect} is {degree}{good} and the {second} {source.choice(agreeing)}.",
            f"I found the {aspect} {degree}{good}.",
            f"The {aspect} is not {bad} at all.",
            f"I never thought the {aspect} {bad}.",
            f"Although the {aspect} is {bad}, the film as a whole is {degree}{good}.",
            f"The {aspect} may be {bad}, but the {second} is {degree}{good} and that decides it.",
            f"{who.capitalize()} told me it was {bad}; {who} could not have been more wrong.",
            f"{who.capitalize()} called it {bad} and {other}. After an hour I knew better.",
            f"I expected something {bad} and {other}, and got something {good} instead.",
        )
    )
