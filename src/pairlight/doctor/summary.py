"""Writes a check-up for a person: counts, the worst of each finding, what to do."""

from pairlight.doctor.findings import KINDS, Checkup
from pairlight.doctor.sheet import words_of_item
from pairlight.types import Json

_EXAMPLES = 3
_WIDE = 100


def summary(checkup: Checkup) -> str:
    """Return the report: what was looked at, each finding with examples, gravest first."""
    splits = ", ".join(f"{name} {count}" for name, count in checkup.splits.items())
    lines = [f"{checkup.photos} photos, {checkup.captions} captions ({splits})"]
    known = [f"{name} {count}" for name, count in checkup.languages.items() if name != "unknown"]
    if known:
        lines.append(f"languages told by their commonest words: {', '.join(known[:5])}")
    if not checkup.findings:
        lines.append("nothing found")
    for name, kind in KINDS.items():
        items = checkup.found(name)
        if not items:
            continue
        lines += ["", f"{len(items):>6}  {name.replace('_', ' ')}: {kind.meaning}"]
        lines += [f"          {_short(example(item))}" for item in items[:_EXAMPLES]]
        if len(items) > _EXAMPLES:
            lines.append(f"          … and {len(items) - _EXAMPLES} more")
        lines.append(f"        > {kind.advice}")
    lines += ["", *(f"note: {note}" for note in checkup.notes)] if checkup.notes else []
    if checkup.fixed:
        done = ", ".join(f"{count} {what.replace('_', ' ')}"
                         for what, count in checkup.fixed.items())  # fmt: skip
        lines.append(f"mended manifest: {done}")
    took = ", ".join(f"{name} {value:.0f} s" for name, value in checkup.seconds.items())
    return "\n".join([*lines, f"took: {took}"])


def example(item: Json) -> str:
    """Return one finding in words: where it is, then what it says."""
    ids = item.get("image_ids") or [item["image_id"]]
    splits = item.get("splits") or [None] * len(ids)
    names = [f"{name} ({split})" if split else name
             for name, split in zip(ids, splits, strict=False)]  # fmt: skip
    where = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    better = f" -> {item['better_image_id']}" if "better_image_id" in item else ""
    return f"{where}{better}: {words_of_item(item)}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 2 * _WIDE else text[: 2 * _WIDE - 1] + "…"
