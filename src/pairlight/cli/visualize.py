"""The command that draws what a model has learnt: pictures of one split, and a report."""

from pathlib import Path

import typer

from pairlight.cli.console import JSON, QUIET, Output


def visualize(
    model: str = typer.Option(..., help="Checkpoint, exported folder, or pretrained."),
    manifest: Path = typer.Option(..., help="Manifest with the photos to draw."),
    split: str = typer.Option(None, help="train, val, test or all; default: test, else val."),
    out: Path = typer.Option(Path("visualization"), help="Folder for the pictures."),
    query: list[str] = typer.Option(
        None, help="Text to search the photos with; may be repeated; default: four everyday scenes."
    ),
    top: int = typer.Option(5, min=1, max=20, help="Results to show for a query."),
    pairs: int = typer.Option(10, min=1, max=20, help="Pairs in the heatmap."),
    seed: int = typer.Option(
        0, min=0, max=2**32 - 1, help="Seed for t-SNE, groups and the choice of photos."
    ),
    report: bool = typer.Option(True, help="Write report.html as well."),
    cache: Path = typer.Option(
        None, metavar="DIR", help="Where embeddings are kept between runs; default: OUT/cache."
    ),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:N."),
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Draw what a model has learnt of one split: a folder of pictures, and a report in one file.

    report.html opens in a browser, without a network: scores, curves, a map of all photos and
    captions to walk through, and every failure. tsne.png shows images and captions on a plane,
    similarity_matrix.png some pairs, histograms.png right pairs against wrong ones, captions.png
    the best captions for three photos, results_QUERY.png the best photos for a text,
    failures_i2t.png and failures_t2i.png what went worst.

    \b
    Examples:
      pairlight visualize --model checkpoints/best_model_256.pth --manifest photos.jsonl
      pairlight visualize --model checkpoints/best_model_256.pth --manifest photos.jsonl \\
        --split val --out pictures --query "a red car" --query "two dogs"
      pairlight visualize --model pretrained --manifest photos.jsonl --no-report
    """
    from pairlight.data.manifest import read_split
    from pairlight.embed import load_model
    from pairlight.plots.pictures import QUERIES, draw_pictures
    from pairlight.plots.study import check_queries, make_study
    from pairlight.report.cache import cached_embeddings
    from pairlight.report.history import read_history
    from pairlight.report.make import Source, write_report

    output = Output(quiet, json_to)
    queries = query or list(QUERIES)
    check_queries(queries)
    photos, split = read_split(manifest, split)
    loaded = load_model(model, device)
    kept = cached_embeddings(loaded, photos, cache or out / "cache", output.track)
    embeddings, from_cache = kept
    counted = f"{len(embeddings.images)} images and {len(embeddings.texts)} captions of {split}"
    output.say(counted + (", embeddings as kept from before" if from_cache else ""))
    if embeddings.skipped:
        shown = ", ".join(embeddings.skipped[:5])
        output.say(f"skipped {len(embeddings.skipped)} unreadable images: {shown}")
    study = make_study(loaded, embeddings, queries, top, seed, output.say)
    done = draw_pictures(study, out, top, pairs)
    if report:
        history, words = read_history(model)
        source = Source(model, split, str(manifest), history, words)
        file = out / "report.html"
        done.notes += write_report(loaded, study, source, file, output.track)
        done.files.append(file)
    for line in [f"note: {note}" for note in done.notes] + [f"wrote {f}" for f in done.files]:
        output.say(line)
    counts = {"images": len(embeddings.images), "captions": len(embeddings.texts)}
    lists = {"skipped": list(embeddings.skipped), "notes": done.notes}
    files = [str(file) for file in done.files]
    last = {"files": files, "report": files[-1] if report else None, "cached": from_cache}
    output.json({"split": split, **counts, **lists, **last})
