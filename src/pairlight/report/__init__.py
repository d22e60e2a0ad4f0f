"""Writes the one-file HTML report of a model on one split, and keeps embeddings between runs."""
