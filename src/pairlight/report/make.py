"""Writes report.html: everything about a model on one split, in one file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pairlight import __version__
from pairlight.embed import Encoder
from pairlight.files import write_text_atomic
from pairlight.metrics.analysis import describe
from pairlight.metrics.report import evaluate_embeddings
from pairlight.plots.study import Study
from pairlight.report import sections
from pairlight.report.content import choose, page_data, shown_large
from pairlight.report.markup import Html, join, tag
from pairlight.report.page import bullets, write_page
from pairlight.report.thumbnails import LARGE, SMALL, thumbnails
from pairlight.threads import untracked
from pairlight.types import Json


@dataclass(frozen=True)
class Source:
    """What a report is of: the model as it was named, the split, and the training's epochs.

    `history_words` say where the epochs were read, or why there are none.
    """

    model: str
    split: str
    manifest: str
    history: Sequence[Json] = ()
    history_words: str = ""


def write_report(
    model: Encoder,
    study: Study,
    source: Source,
    path: Path,
    track: Callable[..., Iterable] = untracked,
) -> list[str]:
    """Write the report of `study` to `path`, whole or not at all; return warnings in words.

    The file needs no network and holds no path of this machine: only names of files and photos,
    captions, numbers, and small pictures made anew.
    """
    embeddings = study.embeddings
    evaluation = evaluate_embeddings(
        embeddings, model.logit_scale, source.split, study.seed, ranks=(study.i2t, study.t2i)
    )
    chosen = choose(study)
    small = thumbnails([embeddings.paths[row] for row in chosen.images], SMALL, track)
    rows = shown_large(study)
    large = dict(zip(rows, thumbnails([embeddings.paths[row] for row in rows], LARGE), strict=True))
    gone = sum(each is None for each in small)
    boxes = "a grey box stands for it" if gone == 1 else "grey boxes stand for them"
    notes = [f"{_plural('photo', gone)} could not be read for the report; {boxes}"]
    data = page_data(study, chosen, small)
    parts = _parts(model, study, source, evaluation, large)
    name = Path(source.model).name
    heading = f"{name} on {source.split} of {Path(source.manifest).name}"
    write_text_atomic(path, write_page(f"pairlight: {heading}", heading, parts, data))
    return notes if gone else []


def _parts(
    model: Encoder, study: Study, source: Source, evaluation: Json, large: dict[int, str | None]
) -> dict[str, Html]:
    protocol = evaluation["protocol"]
    found = describe(study.analysis, protocol["images"], protocol["captions"])
    return {
        "scores": sections.scores(evaluation),
        "findings": join(tag("h3", "What stands out"), bullets(found)),
        "galleries": sections.galleries(study, large),
        "map_words": _map_words(study),
        "similarities": sections.similarities(study),
        "breakdowns": sections.breakdowns(study.analysis),
        "hubness": sections.hubness(study, large),
        "curves": sections.curves(source.history, source.history_words),
        "about": _about(model, study, source),
    }


def _map_words(study: Study) -> Html:
    layout = study.layout
    if layout is None:
        return tag("p", "Too few points for a map.", class_="quiet")
    embeddings = study.embeddings
    words = [
        "Here are ",
        _share("photo", len(layout.rows), len(embeddings.images)),
        " and ",
        _share("caption", len(layout.columns), len(embeddings.texts)),
        f", laid out by t-SNE (seed {study.seed}). What lies close is alike to the model; "
        "distances between far groups mean little. Colours are groups by k-means, named by the "
        f"most telling words of their captions; {100 * layout.clusters.together:.0f} % of "
        "captions fall into their photo's group.",
    ]
    return tag("p", *words, class_="quiet")


def _share(what: str, shown: int, total: int) -> str:
    if shown < total:
        return f"{shown:,} of {_plural(what, total)}, a sample by seed"
    return f"all {_plural(what, total)}" if total > 1 else _plural(what, total)


def _plural(what: str, count: int) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _about(model: Encoder, study: Study, source: Source) -> Html:
    skipped = study.embeddings.skipped
    facts = [
        ("Model", f"{Path(source.model).name} ({model.name}), {model.parameters / 1e6:.1f}M "
                  f"parameters, {model.embed_dim} dimensions, logit scale {model.logit_scale:.2f}"),
        ("sha256", tag("code", model.sha256 or "unknown")),
        ("Photos", f"{Path(source.manifest).name}, split {source.split}"),
        ("Left out", f"{len(skipped)} unreadable photos: {', '.join(skipped[:10])}"
                     + (" …" if len(skipped) > 10 else "") if skipped else None),
        ("Made", f"{datetime.now():%Y-%m-%d %H:%M} by pairlight {__version__}"),
        ("Privacy", "This file holds small copies of the photos, their names and captions. "
                    "It loads nothing and sends nothing."),
    ]  # fmt: skip
    pairs = [join(tag("dt", key), tag("dd", value, dir="auto")) for key, value in facts if value]
    return tag("dl", *pairs)
