"""The plain graph that tf2onnx makes of a Keras network, with a bundle's face."""

from __future__ import annotations

import logging

import keras
import onnx
import tensorflow as tf
import tf2onnx

from pipeline.graphs.canonical import canonicalise
from pipeline.graphs.checks import OPSET
from pipeline.runtime.scorer import INPUT, OUTPUT


def export_portable(model: keras.Model, max_length: int) -> onnx.ModelProto:
    """Convert a Keras network to ONNX.

    The network was trained on rows padded to ``max_length``, and an unmasked recurrent layer's
    state moves while it reads padding. So the graph pads every row to that length itself: the
    score is that of the trained network however much padding the caller left out.

    Args:
        model: Takes int32 ``(batch, max_length)`` and gives float32 ``(batch, 1)``.
        max_length: Ids per row the network was trained on.

    Returns:
        A graph from int32 ``token_ids`` ``[batch, time]`` to float32 ``score`` ``[batch]``.
    """
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)

    def score(token_ids: tf.Tensor) -> tf.Tensor:
        missing = max_length - tf.shape(token_ids)[1]
        padded = tf.pad(token_ids, [[0, 0], [missing, 0]])
        return tf.identity(tf.reshape(model(padded, training=False), [-1]), name=OUTPUT)

    signature = [tf.TensorSpec([None, None], tf.int32, name=INPUT)]
    traced = tf.function(score, input_signature=signature)
    converted: onnx.ModelProto
    converted, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=OPSET)
    _name_face(converted)
    canonicalise(converted)
    return converted


def _name_face(model: onnx.ModelProto) -> None:
    """Name output and axes; tf2onnx calls the output after a TensorFlow node."""
    graph = model.graph
    made = graph.output[0].name
    graph.output[0].name = OUTPUT
    for node in graph.node:
        node.output[:] = [OUTPUT if name == made else name for name in node.output]
    for value, axes in ((graph.input[0], ("batch", "time")), (graph.output[0], ("batch",))):
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for axis in axes:
            shape.dim.add().dim_param = axis
