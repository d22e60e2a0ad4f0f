"""The command that looks over captioned photos before anyone trains or measures on them."""

from pathlib import Path
from typing import Annotated

import typer

from pairlight.cli.console import JSON, QUIET, Output


def doctor(
    manifest: Annotated[Path, typer.Option(help="Manifest to look over; it is not changed.")],
    model: Annotated[
        str,
        typer.Option(
            help="What compares captions and photos: pretrained, a checkpoint, an exported folder, "
            "frozen (encoders that saw no captions; needs the train install), or none."
        ),
    ] = "pretrained",
    out: Annotated[Path, typer.Option(help="Folder for the contact sheet.")] = Path("doctor"),
    cache: Annotated[
        Path | None, typer.Option(help="Folder to keep embeddings in; default: cache below --out.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(help="Write a new manifest without what is certainly broken."),
    ] = None,
    fail_on: Annotated[
        str | None, typer.Option(help="Findings, by commas, with which the command exits with 2.")
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, help="Doubtful captions, and photos, to rank in the JSON.")
    ] = 200,
    shown: Annotated[int, typer.Option(min=1, max=50, help="Photos shown of each finding.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and draws.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Look over captioned photos: broken files, duplicates, leaks, captions on the wrong photo.

    Opens every file, compares photos with each other within and across splits, and ranks captions
    by how likely they belong to another photo; no caption is judged by a model fitted on it. It
    is a report: findings do not make it fail, unless --fail-on names them.

    \b
    Examples:
      pairlight doctor --manifest photos.jsonl
      pairlight doctor --manifest photos.jsonl --model none --fail-on leak,unreadable,vanished
      pairlight doctor --manifest photos.jsonl --out doctor --json findings.json --fix mended.jsonl
    """
    from pairlight.doctor.findings import failing, parse_kinds
    from pairlight.doctor.run import Options, check_up
    from pairlight.doctor.summary import summary
    from pairlight.errors import DataError

    kinds = [] if fail_on is None else parse_kinds(fail_on)
    output = Output(quiet, json_to)
    options = Options(model, out, cache, fix, top, shown, seed, device)
    found = check_up(manifest, options, output.track)
    output.say(summary(found))
    for file in found.files:
        output.say(f"wrote {file}")
    output.json(found.to_json())
    if failed := failing(found, kinds):
        raise DataError(
            f"{manifest}: {failed} (asked by --fail-on); see {out / 'contact_sheet.png'}"
        )
