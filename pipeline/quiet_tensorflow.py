"""TensorFlow without the dozen lines it prints on being imported."""

import logging
import os
import sys

_ADVICE = "triggered tf.function retracing"
"""Of batches of several shapes; each is meant to be compiled once, and their number is small."""


def import_tensorflow_quietly() -> None:
    """Import TensorFlow while its native code, which heeds no log level yet, writes to nowhere.

    What goes wrong comes as a Python exception all the same. Variables that the environment sets
    already keep their say.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow as tf  # noqa: F401 - imported for its effect, inside the redirection
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
    # It would come with all of the network's weights.
    logging.getLogger("tensorflow").addFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return _ADVICE not in record.getMessage()
