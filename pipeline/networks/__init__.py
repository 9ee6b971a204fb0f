"""Keras models: built, fitted, kept."""

from pipeline.quiet_tensorflow import import_tensorflow_quietly

import_tensorflow_quietly()
