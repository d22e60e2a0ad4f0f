"""The split command: gives every image of a manifest to train, val or test."""

from pathlib import Path

import typer

from pairlight.cli.console import JSON, QUIET, Output


def split(
    manifest: Path = typer.Option(..., metavar="FILE", help="Manifest to split, in place."),
    ratios: str | None = typer.Option(
        None, metavar="A,B,C", help="Shares of train, val, test [default: 0.8,0.1,0.1]."
    ),
    seed: int = typer.Option(0, min=0, help="Seed of the random split."),
    official: Path | None = typer.Option(
        None,
        metavar="DIR",
        help="Folder with Flickr_8k.{train,dev,test}Images.txt, or train.txt, ...",
    ),
    near_duplicates: bool = typer.Option(
        True, help="Look for near-duplicate photos, not only for identical files."
    ),
    out: Path | None = typer.Option(None, metavar="FILE", help="Write here and leave the input."),
    workers: int | None = typer.Option(
        None, min=1, help="Threads that open images [default: one a processor]."
    ),
    quiet: bool = QUIET,
    json: str | None = JSON,
) -> None:
    """Split a manifest by image, never by caption, with near-duplicates on one side.

    Official lists are followed as they are; near-duplicates across them are reported.

    \b
    Examples:
      pairlight split --manifest manifest.jsonl --ratios 0.8,0.1,0.1 --seed 0
      pairlight split --manifest flickr8k/manifest.jsonl --official flickr8k
    """
    from pairlight.data.split import parse_ratios, split_manifest

    if ratios is not None and official is not None:
        raise typer.BadParameter("give --ratios or --official, not both")
    output = Output(quiet, json)
    report = split_manifest(
        manifest,
        ratios=parse_ratios(ratios or "0.8,0.1,0.1"),
        seed=seed,
        official=official,
        near_duplicates=near_duplicates,
        out=out,
        workers=workers,
        track=output.track,
    )
    output.say(report.summary())
    output.say(f"wrote {report.manifest}")
    output.json(report.to_json())
