"""The command that draws what a model has learnt: projection, heatmap, search results."""

from pathlib import Path

import typer

from pairlight.cli.console import JSON, QUIET, Output


def visualize(
    model: str = typer.Option(..., help="Checkpoint, exported folder, or pretrained."),
    manifest: Path = typer.Option(..., help="Manifest with the photos to draw."),
    split: str = typer.Option(None, help="train, val, test or all; default: test, else val."),
    out: Path = typer.Option(Path("visualization"), help="Folder for the pictures."),
    query: list[str] = typer.Option(None, help="Text to search the photos with; may be repeated."),
    top: int = typer.Option(5, min=1, max=20, help="Results to show for a query."),
    pairs: int = typer.Option(10, min=1, max=20, help="Pairs in the heatmap."),
    seed: int = typer.Option(0, min=0, help="Seed for t-SNE and the choice of photos."),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:N."),
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
    from pairlight.data.manifest import read_split
    from pairlight.embed import embed_photos, load_model
    from pairlight.plots.pictures import QUERIES, draw_pictures

    output = Output(quiet, json_to)
    photos, split = read_split(manifest, split)
    loaded = load_model(model, device)
    embeddings = embed_photos(loaded, photos, output.track)
    done = draw_pictures(loaded, embeddings, out, query or QUERIES, top, pairs, seed)
    output.say(f"{len(embeddings.images)} images and {len(embeddings.texts)} captions of {split}")
    if embeddings.skipped:
        shown = ", ".join(embeddings.skipped[:5])
        output.say(f"skipped {len(embeddings.skipped)} unreadable images: {shown}")
    for line in [f"note: {note}" for note in done.notes] + [f"wrote {f}" for f in done.files]:
        output.say(line)
    counts = {"images": len(embeddings.images), "captions": len(embeddings.texts)}
    files = [str(file) for file in done.files]
    lists = {"skipped": list(embeddings.skipped), "notes": done.notes, "files": files}
    output.json({"split": split, **counts, **lists})
