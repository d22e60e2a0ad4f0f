"""Exports a checkpoint to ONNX and keeps only what gives the checkpoint's own embeddings."""
