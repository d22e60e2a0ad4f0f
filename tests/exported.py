"""Exports the tiny model once for all tests that need it."""

from functools import cache
from pathlib import Path

from pairlight.export.probes import from_sample
from pairlight.export.run import Options, export_model
from pairlight.output import Output


@cache
def export_once(checkpoint: Path, folder: Path, int8: bool) -> Path:
    """Export to a folder below `folder`, judged on the bundled sample, and return it."""
    out = folder / ("int8" if int8 else "fp32")
    options = Options(int8=int8, for_size=True)
    export_model(checkpoint, out, from_sample(0), options, Output(quiet=True))
    return out
