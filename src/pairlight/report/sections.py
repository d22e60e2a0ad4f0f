"""Writes the parts of the report that need no script: scores, galleries, breakdowns, curves."""

from collections.abc import Sequence

from pairlight.metrics.report import RECALLS, cautions
from pairlight.plots.curves import temperature_limits
from pairlight.plots.histograms import overlap_words, rank_shares, shares
from pairlight.plots.study import Study
from pairlight.report.charts import (
    Series,
    bar_chart,
    line_chart,
    recall_chart,
    similarity_chart,
)
from pairlight.report.markup import Html, join, number, table, tag
from pairlight.report.thumbnails import PREFIX
from pairlight.types import Json

WAYS = (("i2t", "Photo to captions", "image → text"), ("t2i", "Caption to photos", "text → image"))


def scores(evaluation: Json) -> Html:
    """Return recalls with their intervals, chance and protocol, as a chart and a table."""
    chart = [
        (f"{words}, {k}", f"way-{way}", evaluation[way][k], *evaluation["ci95"][f"{way}_{k}"],
         evaluation["chance"][way][k])
        for k in RECALLS
        for way, _, words in WAYS
    ]  # fmt: skip
    rows: list[list[object]] = []
    for k in RECALLS:
        cells: list[object] = [k]
        for way, _, _ in WAYS:
            low, high = evaluation["ci95"][f"{way}_{k}"]
            words = f" [{number(low)}, {number(high)}]"
            cells.append(join(tag("b", number(evaluation[way][k])), words))
            cells.append(number(evaluation["chance"][way][k]))
        rows.append(cells)
    for key, words in (("median_rank", "median rank"), ("mean_rank", "mean rank")):
        ranks = [[number(evaluation[way][key]), ""] for way, _, _ in WAYS]
        rows.append([words, *ranks[0], *ranks[1]])
    head = ["", "photo to captions", "guessing", "caption to photos", "guessing"]
    low, high = evaluation["ci95"]["rsum"]
    protocol = evaluation["protocol"]
    without = protocol["images_without_captions"]
    facts = [
        f"{protocol['images']:,} photos, {protocol['captions']:,} captions, split "
        f"{protocol['split']}; ties count against the model; intervals from "
        f"{protocol['resamples']:,} resamples of photos, seed {protocol['seed']}.",
        f"rsum {number(evaluation['rsum'])} [{number(low)}, {number(high)}] · loss "
        f"{number(evaluation['loss'], 3)} (batches of {protocol['loss_batch']}) · alignment "
        f"{number(evaluation['alignment'], 3)} · uniformity image "
        f"{number(evaluation['uniformity']['image'], 3)}, text "
        f"{number(evaluation['uniformity']['text'], 3)} · modality gap "
        f"{number(evaluation['modality_gap'], 3)}",
        f"{without} photos have no caption: they are searched among, but ask nothing."
        if without
        else None,
        *(f"{each[0].upper()}{each[1:]}." for each in cautions(protocol)),
    ]
    notes = [tag("p", each, class_="quiet") for each in facts if each]
    numbers = table(
        head, rows, "Recall in percent [95 % interval]: the right answer is among the first k"
    )
    return join(tag("div", recall_chart("Recall", chart), numbers, class_="side"), *notes)


def galleries(study: Study, pictures: dict[int, str | None]) -> Html:
    """Return the photos found for each query; `pictures` maps rows of images to base64 JPEG."""
    parts = []
    for found in study.found:
        cards = []
        for rank, (row, score) in enumerate(zip(found.rows, found.scores, strict=True), 1):
            words = f"{rank}. {study.embeddings.image_ids[row]}"
            about = "; ".join(_captions_of(study, row)[:2]) or words
            cards.append(
                tag(
                    "li",
                    _picture(pictures.get(row), about),
                    tag("span", words, class_="name", dir="auto", title=words),
                    tag("span", f"cosine {score:.3f}", class_="under"),
                    class_="card",
                )
            )
        parts.append(tag("h3", f"“{found.query}”", dir="auto"))
        parts.append(tag("ul", *cards, class_="grid"))
    total = len(study.embeddings.images)
    words = f"The best photos of all {total:,} for words that nobody wrote for them, best first."
    return join(tag("p", words, class_="quiet"), *parts)


def _captions_of(study: Study, row: int) -> list[str]:
    owned = (study.embeddings.owner == row).nonzero()[0]
    return [study.embeddings.captions[j] for j in owned]


def _picture(data: str | None, about: str) -> Html:
    if data is None:
        return tag("span", tag("span", "photo not readable", class_="broken"), class_="frame")
    return tag("span", tag("img", src=PREFIX + data, alt=about, loading="lazy"), class_="frame")


def similarities(study: Study) -> Html:
    """Return histograms of right and wrong pairs, and of ranks."""
    spread = study.analysis["similarity"]
    charts = []
    sides = []
    for kind, look, words in (
        ("negative", "bad", "wrong pairs"),
        ("positive", "good", "right pairs"),
    ):
        side = spread.get(kind) or {}
        percent = shares(side.get("counts"))
        if percent is not None:
            name = f"{words} ({sum(side['counts']):,}), mean {number(side.get('mean'), 2)}"
            sides.append(Series(name, percent.tolist(), look))
    if sides and spread.get("edges"):
        charts.append(similarity_chart("Cosine similarity of pairs", spread["edges"], sides))
    for (_, words, _), ranks in zip(WAYS, (study.i2t, study.t2i), strict=True):
        charts.append(bar_chart(f"{words}: rank of the right answer", rank_shares(ranks), "rank"))
    return join(
        tag("p", overlap_words(spread), class_="quiet"), tag("div", *charts, class_="charts")
    )


def breakdowns(analysis: Json) -> Html:
    """Return how results differ by the captions' length and by what is to be seen."""
    parts = []
    lengths = analysis.get("by_length")
    if lengths:
        rows = [
            [_span(each["words"]), f"{each['captions']:,}", *(number(each[k]) for k in RECALLS),
             number(each["median_rank"])]
            for each in lengths
        ]  # fmt: skip
        head = ["words", "captions", *RECALLS, "median rank"]
        parts.append(
            table(head, rows, "By length of the caption: caption to photos, recall in percent")
        )
    kinds = analysis.get("by_category")
    if kinds:
        rows = [
            [tag("bdi", each["category"]), f"{each['images']:,}", f"{each['captions']:,}",
             number(each.get("i2t_R@1")), number(each.get("t2i_R@1"))]
            for each in kinds
        ]  # fmt: skip
        named = kinds[0].get("source") == "manifest"
        words = (
            "by category of the manifest" if named else "by a word in the captions; kinds overlap"
        )
        head = ["kind", "photos", "captions", "photo to captions R@1", "caption to photos R@1"]
        parts.append(table(head, rows, f"By what is to be seen: {words}"))
    if not parts:
        return tag("p", "Too few captions to break down.", class_="quiet")
    return tag("div", *parts, class_="tables")


def _span(ends: Sequence[int]) -> str:
    low, high = ends
    return str(low) if low == high else f"{low} to {high}"


def hubness(study: Study, pictures: dict[int, str | None]) -> Html:
    """Return what is found too often, and the gap between the two kinds of embedding."""
    hubs, gap = study.analysis.get("hubness"), study.analysis.get("gap")
    parts = []
    if hubs:
        rows = [
            [words, number(hubs[side]["skew"], 2), number(hubs[side]["max"], 0),
             "–" if hubs[side]["never"] is None else f"{100 * hubs[side]['never']:.1f} %"]
            for side, words in (("images", "photos"), ("captions", "captions"))
        ]  # fmt: skip
        head = ["", "skew", f"most often among the first {hubs['k']}", "never there"]
        parts.append(table(head, rows, "How evenly the first places are shared out"))
        row_of = {each: row for row, each in enumerate(study.embeddings.image_ids)}
        cards = []
        for hub in hubs["images"]["top"]:
            picture = _picture(pictures.get(row_of.get(hub["id"], -1)), str(hub["id"]))
            name = tag("span", hub["id"], class_="name", dir="auto", title=hub["id"])
            count = tag("span", f"for {hub['count']:,} captions", class_="under")
            cards.append(tag("li", picture, name, count, class_="card"))
        parts += [tag("h3", "Photos found most often"), tag("ul", *cards, class_="grid small")]
        rows = [[tag("bdi", hub.get("caption") or hub["id"]), f"{hub['count']:,}"]
                for hub in hubs["captions"]["top"]]  # fmt: skip
        parts.append(table(["caption", "photos that find it"], rows, "Captions found most often"))
    if gap and gap.get("distance") is not None:
        parts.append(tag("p", f"Distance between the mean photo and the mean caption: "
                         f"{number(gap['distance'], 3)}.", class_="quiet"))  # fmt: skip
    return join(*parts) if parts else tag("p", "Too few photos to tell.", class_="quiet")


def curves(history: Sequence[Json], words: str) -> Html:
    """Return loss, recalls, rates and temperature over the epochs, or why there are none."""
    said = tag("p", words, class_="quiet")
    if not history:
        return said
    stages = [record["stage"] for record in history]
    vals = [record["val"] or {} for record in history]
    loss = [Series("training", [record["loss"] for record in history], "s1")]
    if any(val.get("loss") is not None for val in vals):
        loss.append(Series("validation", [val.get("loss") for val in vals], "s2"))
    recall = [
        Series(f"{words} {k}", [val[way][k] if val else None for val in vals], f"s{n} {way}")
        for n, k in ((1, "R@10"), (5, "R@5"), (2, "R@1"))
        for way, _, words in WAYS
    ]
    rates = [
        Series(group, [record["lr"].get(group) or None for record in history], look)
        for group, look in (("heads", "s1 wide"), ("image", "s5"), ("text", "s3"))
        if any(record["lr"].get(group) for record in history)
    ]
    heat = [1 / r["logit_scale"] if r["logit_scale"] else None for r in history]
    known = [value for value in heat if value is not None]
    limits = temperature_limits(min(known), max(known)) if known else None
    charts = [
        line_chart("Loss", loss, stages=stages),
        line_chart("Recall on the validation split (%)", recall, (0, 100), stages=stages),
        line_chart("Learning rate", rates, log=True, stages=stages),
        line_chart(
            "Temperature (1 / logit scale)", [Series("", heat, "s3")], limits, stages=stages
        ),
    ]
    return join(said, tag("div", *charts, class_="charts two"))
