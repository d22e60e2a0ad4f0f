"""Runs exported models with ONNX Runtime: nothing here imports torch."""
