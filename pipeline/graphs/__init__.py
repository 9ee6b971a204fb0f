"""ONNX graphs: how a trained network becomes one, and what one may hold."""
