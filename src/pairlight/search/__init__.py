"""Indexes photo folders into one crash-proof file and searches it in words or by example."""
