"""The light side: text to scores with numpy and ONNX Runtime, and nothing heavier."""

import os

# ONNX Runtime 1.32 keeps an id of the device and a journal of sessions in the user's cache, sends them
# to its makers after some seconds, and takes 0.1 s for it. Who wants that sets this variable.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
