"""How far training here is from that by the plain Keras layers, from the same start and in the same order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.networks.fitting import Arrays, Fitting
from pipeline.networks.fused import make_walk, score_packed
from pipeline.networks.packing import pack_batch
from pipeline.networks.recurrent import build_network
from pipeline.recipe import NetworkSettings, TextSettings, TrainingSettings

Gradients = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Distance:
    """Largest differences between two trainings."""

    gradients: float
    """Of the first batch, in the share of the same weight's largest gradient."""
    losses: float
    """Of any step."""
    weights: float
    """After the last step."""


def compare_with_keras(
    text: TextSettings, network: NetworkSettings, training: TrainingSettings, arrays: Arrays
) -> Distance:
    """Take a step for each batch of one epoch, here and with Keras's own layers, optimizer and loss."""
    ids, labels = arrays
    plain, ours = (_begin(text, network) for _ in range(2))
    order = np.random.default_rng((training.seed, 0)).permutation(len(labels))
    batches = [
        order[start : start + training.batch_size] for start in range(0, len(order), training.batch_size)
    ]
    first = ids[batches[0]], labels[batches[0]]
    gradients = zip(_gradients(plain, first), _fused_gradients(network, ours, first), strict=True)
    of_gradients = max(np.abs(one - other).max() / np.abs(one).max() for one, other in gradients)
    options = {"learning_rate": training.learning_rate, "global_clipnorm": training.clip_norm}
    optimizer = {"class_name": training.optimizer, "config": options}
    plain.compile(keras.optimizers.get(optimizer), "binary_crossentropy")
    losses: list[float] = []
    Fitting(network, training, ours).run_epoch(arrays, first, losses.append)
    of_losses = 0.0
    for chosen, loss in zip(batches, losses, strict=False):
        of_losses = max(of_losses, abs(float(plain.train_on_batch(ids[chosen], labels[chosen])) - loss))
        plain.reset_metrics()
    weights = zip(plain.get_weights(), ours.get_weights(), strict=True)
    return Distance(of_gradients, of_losses, max(np.abs(one - other).max() for one, other in weights))


def _begin(text: TextSettings, network: NetworkSettings) -> keras.Model:
    """Draw weights, of which none is 0: a bias in another's place would not show at the start.

    They are hardly larger than Keras draws them: over hundreds of steps, a recurrent kernel with a norm well
    above 1 would make anything out of a rounding.
    """
    keras.utils.set_random_seed(1)
    model = build_network(text, network)
    source = np.random.default_rng(2)
    model.set_weights([each + source.normal(0, 0.02, each.shape) for each in model.get_weights()])
    return model


def _gradients(model: keras.Model, arrays: Arrays) -> Gradients:
    return _differentiate(model, arrays, lambda: model(arrays[0])[:, 0])


def _fused_gradients(network: NetworkSettings, model: keras.Model, arrays: Arrays) -> Gradients:
    weights = [each.value for each in model.trainable_variables]
    walk, batch = make_walk(network.cell), pack_batch(arrays[0], network, len(arrays[1]))
    return _differentiate(model, arrays, lambda: score_packed(network, walk, weights, batch))


def _differentiate(model: keras.Model, arrays: Arrays, score: Callable[[], tf.Tensor]) -> Gradients:
    weights = [each.value for each in model.trainable_variables]
    labels = arrays[1].astype(np.float32)
    score = tf.function(score)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(labels[:, None], score()[:, None]))
    return [tf.convert_to_tensor(each).numpy() for each in tape.gradient(loss, weights)]
