"""The command that shows why a photo and a text match: which words, which regions."""

from pathlib import Path
from typing import Annotated

import typer

from pairlight.cli.console import JSON, QUIET, Output


def explain(
    image: Annotated[Path, typer.Argument(help="Photo to explain.")],
    text: Annotated[list[str], typer.Argument(help="Text to explain it by.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Picture to write (PNG); default: explanation.png, none with --json."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Checkpoint, exported folder, or pretrained.")
    ] = "pretrained",
    grid: Annotated[int, typer.Option(min=7, max=14, help="Regions along each side.")] = 10,
    fill: Annotated[str, typer.Option(help="What covers a region: blur or mean.")] = "blur",
    reference: Annotated[
        bool, typer.Option(help="Compare the score with those of the bundled sample photos.")
    ] = True,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Show why a photo and a text match: what each word and each region adds to the score.

    Words are left out one at a time, regions covered one at a time, and the drop of the cosine is
    what they add. The picture needs matplotlib (the train install); the JSON does not.

    \b
    Examples:
      pairlight explain beach.jpg "a dog running on the beach" --out why.png
      pairlight explain beach.jpg "a dog running on the beach" --json -
      pairlight explain beach.jpg "two dogs" --model checkpoints/best_model_256.pth
    """
    from pairlight.embed import load_model
    from pairlight.explain import explain_pair, lines_about, standing, to_json

    output = Output(quiet, json_to)
    path = out or (Path("explanation.png") if json_to is None else None)
    if path is not None:
        from pairlight.plots.explain import check_target, plot_explanation

        check_target(path)
    loaded = load_model(model, device)
    found = explain_pair(loaded, image, " ".join(text), grid, fill, output.track)
    where = standing(loaded, found, image, output.track) if reference else None
    said, notes = lines_about(found, where), list(found.notes)
    output.say("\n".join(said))
    for word, drop, rest in zip(found.words, found.contributions, found.without, strict=True):
        output.say(f"{drop:+.3f}  {word}  (without it {rest:.3f})")
    if path is not None:
        notes += plot_explanation(
            found.pixels, found.size, found.text, found.words, found.contributions, found.regions,
            [*said, *found.notes], found.method, path,
        )  # fmt: skip
    for line in [f"note: {note}" for note in notes] + ([f"wrote {path}"] if path else []):
        output.say(line)
    result = to_json(found, where, image, loaded)
    output.json({**result, "notes": notes, "picture": None if path is None else str(path)})
