"""Draws the pictures that show how training went and what a model has learnt."""

from importlib.util import find_spec

from pairlight.errors import MissingDependency

if find_spec("matplotlib") is None or find_spec("sklearn") is None:
    raise MissingDependency(
        "drawing needs matplotlib and scikit-learn; run: pip install 'pairlight[train]'"
    )
