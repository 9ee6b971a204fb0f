"""Resenha: labelled reviews in, a small proven ONNX network out, scores anywhere.

Nothing is imported here, so that the light side never meets the heavy one by accident.
"""
