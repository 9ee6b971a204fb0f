"""The light side: text to scores with numpy and ONNX Runtime, and nothing heavier."""

import os

# From 1.32 on, ONNX Runtime numbers the device, writes to its user's folders and tells its maker of
# each session, unless it finds this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
