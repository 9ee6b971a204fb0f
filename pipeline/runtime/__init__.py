"""The light side: text to scores with numpy and ONNX Runtime, and nothing heavier."""
