"""ONNX graphs: how a trained network becomes one, and what one may hold."""

from pipeline.quiet_tensorflow import import_tensorflow_quietly

import_tensorflow_quietly()
