"""The command that tells whether one model is better than another on the same photos."""

from pathlib import Path
from typing import Annotated

import typer

from pairlight.cli.console import JSON, QUIET, Output
from pairlight.errors import ConfigError


def compare(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="A.json B.json",
            help="Files of `pairlight evaluate --json`, of the same photos; A is compared with "
            "each of the others.",
        ),
    ],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    resamples: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How often the images are drawn anew.")
    ] = 10_000,
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Tell whether model B is better than model A, or the photos are too few to say.

    Both must have been measured on the same photos and captions. Draws the images anew many times,
    the same ones for both models, and tells for every recall the difference B - A with its 95 %
    interval, how often B is better, and the p-value of a randomisation test. B is better, or worse,
    when the interval of rsum leaves out 0 and p is at most 0.05.

    \b
    Examples:
      pairlight evaluate --model old.pth --manifest photos.jsonl --json old.json
      pairlight evaluate --model new.pth --manifest photos.jsonl --json new.json
      pairlight compare old.json new.json
      pairlight compare old.json new.json newer.json --json comparison.json
    """
    from pairlight.metrics.compare import compare_files, format_comparison

    if len(results) < 2:
        raise ConfigError("compare needs two files of `pairlight evaluate --json`, or more")
    output = Output(quiet, json_to)
    result = compare_files(results, resamples, seed)
    output.say(format_comparison(result))
    output.json(result)
