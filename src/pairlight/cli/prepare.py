"""The prepare command: photos and captions to a checked manifest."""

from pathlib import Path

import typer

from pairlight.cli.console import JSON, QUIET, Output


def prepare(
    images: Path = typer.Option(..., metavar="DIR", help="Folder of photos, searched in depth."),
    captions: Path = typer.Option(..., metavar="FILE", help="Captions file, or folder of .txt."),
    out: Path = typer.Option(..., metavar="FILE", help="Manifest to write (JSON Lines)."),
    format: str = typer.Option(
        "auto",
        metavar="NAME",
        help="auto, flickr8k, kaggle, csv, tsv, karpathy, coco, json, jsonl or sidecars.",
    ),
    keep_text: bool = typer.Option(False, "--keep-text", help="Leave captions as written."),
    workers: int | None = typer.Option(
        None, min=1, help="Threads that open images [default: one a processor]."
    ),
    quiet: bool = QUIET,
    json: str | None = JSON,
) -> None:
    """Check photos and captions and write them as a manifest, with a report beside it.

    Every image is opened, every caption cleaned; what cannot be used is left out and reported.
    The formats are described in docs/formats.md.

    \b
    Examples:
      pairlight prepare --images photos --captions captions.csv --out manifest.jsonl
      pairlight prepare --images flickr8k/images --captions flickr8k/Flickr8k.token.txt \\
          --out flickr8k/manifest.jsonl --json report.json
    """
    from pairlight.data import prepare as data

    output = Output(quiet, json)
    report = data.prepare(
        images,
        captions,
        out,
        format=format,
        keep_text=keep_text,
        workers=workers,
        track=output.track,
    )
    output.say(report.summary())
    output.say(f"wrote     {out} and {data.report_path(out)}")
    output.json(report.to_json())
