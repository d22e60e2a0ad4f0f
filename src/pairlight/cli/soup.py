"""The command that averages several runs into one model: `pairlight soup`."""

from pathlib import Path
from typing import Annotated

import typer

from pairlight.cli.console import JSON, QUIET, Output
from pairlight.errors import MissingDependency


def soup(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoints of runs of one recipe.")],
    manifest: Annotated[Path, typer.Option(help="Manifest with a validation split.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    split: Annotated[str, typer.Option(help="The split that decides.")] = "val",
    image_size: Annotated[
        int | None,
        typer.Option(
            min=32,
            max=1024,
            help="Side of photos for the result, best a multiple of 32; default: that of the runs.",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="The checkpoint that the runs set out from: the result's image encoder is put "
            "between it and their average, where it does best.",
        ),
    ] = None,
    hub_prototypes: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65536,
            help="Size of the correction of hubs that is fitted to the result; 0: none; "
            "default: that of the first run's recipe.",
        ),
    ] = None,
    self_distillation: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="EPOCHS",
            help="Epochs in which the result learns from its own several looks at each photo; "
            "0: none; default: those of the first run's recipe.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Average the weights of several runs, keeping each only if the average gets better.

    The runs must set out from the same weights: train one, then others with
    --init ITS/checkpoints/best_heads_256.pth and another --set train.seed. The result is as
    small and fast as one of them. With --image-size it looks at photos of another size than
    training did, one checkpoint too: after views of 224 pixels, photos of 256 are found better.
    With --start, best_heads_256.pth of the first run, the image encoder steps back from what it has
    learnt, as far as the scores rise: fine-tuning goes too far, most of all in a single run.
    With --self-distillation the image encoder learns from the training photos to give at one look
    what it gives, on average, at a photo, its mirror image and its middle. With --hub-prototypes
    photos and texts that match anything at all are held back, fitted to the training photos. All
    do for one checkpoint too, and are kept if the scores rise.

    \b
    Examples:
      pairlight soup runs/a/checkpoints/best_model_256.pth runs/b/checkpoints/best_model_256.pth \\
        --manifest photos.jsonl --out soup_256.pth
      pairlight soup runs/a/checkpoints/best_model_256.pth --image-size 256 \\
        --manifest photos.jsonl --out larger_256.pth
      pairlight soup older_256.pth --hub-prototypes 1024 --manifest photos.jsonl --out new_256.pth
    """
    try:
        from pairlight.train.soup import greedy_soup
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{error.name} is not installed; soups need: pip install 'pairlight[train]'"
        ) from None
    output = Output(quiet, json_to)
    made = greedy_soup(
        checkpoints,
        manifest,
        out,
        split,
        device,
        output,
        image_size,
        hub_prototypes,
        self_distillation,
        start,
    )
    output.say(f"{len(made.taken)} of {len(checkpoints)} taken: rsum {made.val['rsum']:.1f}")
    output.say(f"next: pairlight evaluate --model {out} --manifest {manifest}")
    taken = [str(path) for path in made.taken]
    output.json({"out": str(out), "taken": taken, "alone": made.alone, "val": made.val})
