"""Turns photos and caption files into checked, split manifests; needs no torch."""
