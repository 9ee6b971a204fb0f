"""Networks whose first weights a seed decides, and nothing else."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from pipeline.networks.recurrent import build_network
from pipeline.recipe import NetworkSettings, TextSettings


def build_seeded_network(text: TextSettings, network: NetworkSettings, seed: int) -> keras.Model:
    """Build a network whose weights, and what follows from them here, are the same for the same arguments."""
    # Without it, two runs differ: threads add up what they found in any order.
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    with _own_seeds(seed):
        return build_network(text, network)


@contextmanager
def _own_seeds(seed: int) -> Iterator[None]:
    """Let this thread draw the seeds of layers as after ``random.seed(seed)``, whatever other threads draw.

    Keras draws them by ``random.randint`` from the generator of the whole process, which the threads of
    a server's client, or of a cluster's worker, use for waiting times.
    """
    own, drawn, thread = random.Random(seed), random.randint, threading.get_ident()  # noqa: S311

    def draw(low: int, high: int) -> int:
        return (own.randint if threading.get_ident() == thread else drawn)(low, high)

    random.randint = draw  # type: ignore[assignment]
    try:
        yield
    finally:
        random.randint = drawn
