"""Turns embeddings into numbers: retrieval ranks, geometry, intervals and the report of them."""

from pairlight.metrics.report import evaluate_embeddings, format_report
from pairlight.metrics.retrieval import ranks, recall_at_k

__all__ = ["evaluate_embeddings", "format_report", "ranks", "recall_at_k"]
