"""The command that draws what a model has learnt: projection, heatmap, search results."""

from pathlib import Path
from typing import Annotated

import typer

from pairlight.cli.console import JSON, QUIET, Output


def visualize(
    model: Annotated[Path, typer.Option(help="Checkpoint to look at.")],
    manifest: Annotated[Path, typer.Option(help="Manifest with the photos to draw.")],
    split: Annotated[
        str | None,
        typer.Option(help="Split to draw; default: test, or val when there is no test."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("visualization"),
    query: Annotated[
        list[str] | None,
        typer.Option(help="Text to search the photos with; may be given again and again."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=20, help="Results to show for a query.")] = 5,
    pairs: Annotated[int, typer.Option(min=1, max=20, help="Pairs in the heatmap.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed for t-SNE and the choice of photos.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Draw what a model has learnt of one split, into a folder of pictures.

    tsne.png shows images and captions on a plane, similarity_matrix.png some pairs,
    captions.png the best captions for three photos, results_QUERY.png the best photos for a text.

    \b
    Examples:
      pairlight visualize --model checkpoints/best_model_256.pth --manifest photos.jsonl
      pairlight visualize --model checkpoints/best_model_256.pth --manifest photos.jsonl \\
        --split val --out pictures --query "a red car" --query "two dogs"
    """
    from pairlight.data.manifest import read_manifest
    from pairlight.embed import embed_photos, load_model
    from pairlight.plots.pictures import QUERIES, draw_pictures

    output = Output(quiet, json_to)
    if split is None:
        split = "test" if any(p.split == "test" for p in read_manifest(manifest)) else "val"
    photos = read_manifest(manifest, split)
    loaded = load_model(model, device)
    embeddings = embed_photos(loaded, photos, output.track)
    done = draw_pictures(loaded, embeddings, out, query or QUERIES, top, pairs, seed)
    output.say(f"{len(embeddings.images)} images and {len(embeddings.texts)} captions of {split}")
    if embeddings.skipped:
        shown = ", ".join(embeddings.skipped[:5])
        output.say(f"skipped {len(embeddings.skipped)} unreadable images: {shown}")
    for note in done.notes:
        output.say(f"note: {note}")
    for file in done.files:
        output.say(f"wrote {file}")
    output.json(
        {
            "split": split,
            "images": len(embeddings.images),
            "captions": len(embeddings.texts),
            "skipped": list(embeddings.skipped),
            "notes": done.notes,
            "files": [str(file) for file in done.files],
        }
    )
