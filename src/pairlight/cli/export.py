"""The command that turns a checkpoint into files which need no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairlight.cli.console import JSON, QUIET, Output
from pairlight.errors import ConfigError, MissingDependency, ModelError

if TYPE_CHECKING:
    from pairlight.types import Json

# Captioned photos below which no relevance is fitted.
ENOUGH = 100


def export(
    model: Annotated[Path, typer.Option(help="Checkpoint to export.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    int8: Annotated[
        bool, typer.Option("--int8/--no-int8", help="Use int8 towers where they are good enough.")
    ] = True,
    for_size: Annotated[
        bool, typer.Option("--for-size", help="Keep int8 towers though no faster here.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Manifest with photos to judge on; its train split calibrates int8."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to judge on [default: test, else val].")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of photos, in place of a manifest.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="Captions of --images, in any format `prepare` reads.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of photos.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the exported model in --out.")
    ] = False,
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Write a checkpoint as ONNX files that search, serve and evaluate use without torch.

    The files are kept only when they give the checkpoint's own embeddings: every cosine at least
    0.999 in fp32. An int8 tower must reach a mean cosine of 0.99, lose at most half a point of
    R@1 where there are queries enough to tell, and be faster; otherwise fp32 stays and the reason
    is told. Without photos of yours the bundled sample is the measure.

    \b
    Examples:
      pairlight export --model checkpoints/best_model_256.pth --out exported
      pairlight export --model checkpoints/best_model_256.pth --out exported \\
        --manifest photos.jsonl --split val --json export.json
      pairlight export --model checkpoints/best_model_256.pth --out exported --no-int8
    """
    output = Output(quiet, json_to)
    try:
        from pairlight.export.run import Options, export_model, summary
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{error.name} is not installed; exporting needs: pip install 'pairlight[train]'"
        ) from None
    if model.is_dir():
        raise ConfigError(f"--model {model}: is a folder; export takes a checkpoint file")
    sources = _sources(manifest, split, images, captions, seed, output)
    options = Options(int8, for_size, overwrite, seed)
    done = export_model(model, out, sources, options, output, _calibration)
    output.say(summary(done, out))
    if done["calibration"] is None:
        output.say(
            f"no relevance: it takes at least {ENOUGH} captioned photos that the model was not "
            "trained on; name some with --manifest"
        )
    output.json(done)


def _calibration(images, texts, owner, captions, learnt, encode) -> "Json | None":
    """Return what `search` needs to tell relevance, None where there are too few photos."""
    from pairlight.search.relevance import fit_calibration
    from pairlight.search.vocabulary import Vocabulary

    if len(images) < ENOUGH:
        return None
    try:
        known = Vocabulary.of(learnt)
        found = fit_calibration(images, texts, owner, captions, vocabulary=known, encode=encode)
        return found.to_dict()
    except ModelError:  # captions that say too little, or not in English
        return None


def _sources(
    manifest: Path | None,
    split: str | None,
    images: Path | None,
    captions: Path | None,
    seed: int,
    output: Output,
):
    """Return the photos to judge on and to calibrate with; of the sample where none are given."""
    from pairlight.cli.evaluate import check_sources, photos_of_folder
    from pairlight.export.probes import from_manifest, from_photos, from_sample

    if manifest is None and images is None and captions is None:
        if split is not None:
            raise ConfigError(f"--split {split} needs --manifest FILE")
        return from_sample(seed)
    check_sources(manifest, images, captions)
    if manifest is not None:
        return from_manifest(manifest, split)
    assert images is not None and captions is not None
    photos, split, _ = photos_of_folder(images, captions, split, output)
    return from_photos(photos, f"{images.name}, {split}")
