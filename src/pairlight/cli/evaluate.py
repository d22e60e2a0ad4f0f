"""The command that measures how well a model matches images and captions."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from pairlight.cli.console import JSON, QUIET, Output
from pairlight.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pairlight.types import Json, Photo


def evaluate(
    model: Annotated[str, typer.Option(help="Checkpoint, exported folder, or pretrained.")],
    manifest: Annotated[Path | None, typer.Option(help="Manifest with the photos.")] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, val, test or all; default: test, or val when the manifest has no test, "
            "and all with --images."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of photos, in place of a manifest.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="Captions of --images, in any format `prepare` reads.")
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Measure smaller galleries too. random:810: 810 images drawn at random; "
            "random:810x20: the mean of 20 such draws; folds:1000: the first 1,000 images, the "
            "next 1,000 and so on, and the mean over them; full: the whole split. May be "
            "repeated, or a list with commas.",
        ),
    ] = None,
    looks: Annotated[
        int,
        typer.Option(
            min=1, max=3, help="Looks at each photo, as `index --looks`: whole, middle, mirrored."
        ),
    ] = 1,
    analysis: Annotated[bool, typer.Option(help="Look into how images and captions align.")] = True,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the intervals and of random galleries.")
    ] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Measure retrieval in both directions: recall with 95 % intervals beside the chance level.

    Ranks every caption for each image and every image for each caption; also tells the loss, how
    the embeddings lie (alignment, uniformity, modality gap), and what is found worst. Ties count
    against the model. Photos that do not open are skipped and counted. `pairlight compare` takes
    two files of --json.

    \b
    Examples:
      pairlight evaluate --model checkpoints/best_model_256.pth --manifest photos.jsonl
      pairlight evaluate --model checkpoints/best_model_256.pth --manifest photos.jsonl \\
        --split val --json results.json
      pairlight evaluate --model checkpoints/best_model_256.pth --images photos \\
        --captions captions.csv --json -
      pairlight evaluate --model exported --manifest photos.jsonl
      pairlight evaluate --model pretrained --manifest photos.jsonl --protocol random:810x20
    """
    from pairlight.data.doctor import plainly
    from pairlight.data.manifest import read_split
    from pairlight.embed import embed_photos, load_model
    from pairlight.metrics.protocols import check_protocols, parse_protocols
    from pairlight.metrics.report import evaluate_embeddings, format_report

    check_sources(manifest, images, captions)
    protocols = parse_protocols(protocol or [])
    output = Output(quiet, json_to)
    loaded = load_model(model, device, looks)
    left_out: Json = {}
    if manifest is not None:
        photos, split = read_split(manifest, split)
    else:
        photos, split, left_out = photos_of_folder(images, captions, split, output)  # type: ignore[arg-type]
    check_protocols(protocols, len(photos), split)
    output.say(f"model {loaded.name}: measuring split {split}, {len(photos)} photos")
    embeddings = embed_photos(loaded, photos, output.track)
    result = evaluate_embeddings(
        embeddings, loaded.logit_scale, split, seed, protocols=protocols, analysis=analysis
    )
    output.say(format_report(result))
    for what, found in left_out.items():
        output.say(
            f"left out: {found['count']} {what.replace('_', ' ')}: {plainly(found['examples'][0])}"
        )
    facts = ("name", "embed_dim", "parameters", "sha256")
    described = {fact: getattr(loaded, fact) for fact in facts} | {"looks": looks}
    output.json({"model": described, **result, **({"left_out": left_out} if left_out else {})})


def check_sources(manifest: Path | None, images: Path | None, captions: Path | None) -> None:
    """Raise `ConfigError` unless the photos come from just one place."""
    if (images is None) != (captions is None):
        missing = "--images DIR" if images is None else "--captions FILE"
        raise ConfigError(f"{missing} is missing; --images and --captions go together")
    if (manifest is None) == (images is None):
        problem = "no photos are given" if manifest is None else "photos are given twice"
        raise ConfigError(f"{problem}; use --manifest FILE, or --images DIR with --captions FILE")


def photos_of_folder(
    images: Path, captions: Path, split: str | None, output: Output
) -> tuple[list["Photo"], str, "Json"]:
    """Prepare photos and captions as `pairlight prepare` does, without leaving a file behind.

    Returns the photos, the split they are, and what was left out: counts and examples by kind.
    """
    from pairlight.data.manifest import read_manifest
    from pairlight.data.prepare import prepare

    with TemporaryDirectory(prefix="pairlight-") as folder:
        out = Path(folder) / "manifest.jsonl"
        report = prepare(images, captions, out, track=output.track)
        photos = read_manifest(out)
    split = split or "all"
    if split != "all":
        photos = [photo for photo in photos if photo.split == split]
    if not photos:
        raise DataError(f"{captions}: names no photo of split {split!r}; leave --split out for all")
    kinds = ("unreadable_images", "absent_images", "ambiguous_images", "outside_images")
    found = {kind: report.findings[kind] for kind in kinds if report.count(kind)}
    return photos, split, {k: {"count": f.count, "examples": f.examples} for k, f in found.items()}
