"""Gathers what is odd about a data set: counts, examples and what each finding means."""

from dataclasses import dataclass, field

from pairlight.data.text import CHANGES
from pairlight.types import Json

_EXAMPLES = 5

# Every finding there can be and what it means; the report names only those that occur.
FINDINGS = {
    "bad_entries": "entries of the captions file that could not be read; they are left out",
    "absent_images": "images that captions name but the folder lacks; their captions are unused",
    "ambiguous_images": "names that fit several files, or several names one file; none is guessed",
    "outside_images": "names that lead outside the images folder; they are refused",
    "unreadable_images": "image files that do not open; they are left out with their captions",
    "images_without_captions": "image files that no caption names; they are left out",
    "empty_captions": "captions that say nothing; they are dropped",
    "one_word_captions": "captions of a single word; they are kept, but teach little",
    "repeated_captions": "captions that an image has twice; they are kept",
    "identical_images": "groups of files with the same bytes; a ratio split keeps each together",
    "lost_splits": "images that had a split in the manifest before; run split again",
    "renamed_ids": "images whose id was taken by another; the id is their path instead",
}


@dataclass
class Finding:
    """How often something occurred, with the first few examples."""

    count: int = 0
    examples: list = field(default_factory=list)

    def add(self, example: object, count: int = 1) -> None:
        """Count an occurrence and keep it while examples are few."""
        self.count += count
        if len(self.examples) < _EXAMPLES:
            self.examples.append(example)


@dataclass
class Report:
    """The doctor's report of one `prepare` run; `to_json` is what is written."""

    captions_file: str
    format: str
    images_folder: str
    manifest: str
    images_found: int = 0
    images_used: int = 0
    captions_read: int = 0
    captions_used: int = 0
    captions_changed: int = 0
    longest: Json = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)
    changes: dict[str, Finding] = field(default_factory=dict)

    def add(self, kind: str, example: object, count: int = 1) -> None:
        """Count one finding; `kind` is a key of `FINDINGS`."""
        assert kind in FINDINGS, kind
        self.findings.setdefault(kind, Finding()).add(example, count)

    def add_change(self, kind: str, before: str, after: str, source: str) -> None:
        """Count one change of a caption; `kind` is a key of `text.CHANGES`."""
        example = {"before": before, "after": after, "source": source}
        self.changes.setdefault(kind, Finding()).add(example)

    def count(self, kind: str) -> int:
        """Return how often a finding occurred."""
        return self.findings[kind].count if kind in self.findings else 0

    def to_json(self) -> Json:
        """Return the report as plain values; counts of findings are in `findings`."""
        return {
            "captions_file": self.captions_file,
            "format": self.format,
            "images_folder": self.images_folder,
            "manifest": self.manifest,
            "images": {
                "found": self.images_found,
                "used": self.images_used,
                "unreadable": self.count("unreadable_images"),
                "without_captions": self.count("images_without_captions"),
            },
            "captions": {
                "read": self.captions_read,
                "used": self.captions_used,
                "dropped": self.captions_read - self.captions_used,
                "changed": self.captions_changed,
                "longest": self.longest,
            },
            "splits": self.splits,
            "changes": _plain(self.changes, {kind: words for kind, (_, words) in CHANGES.items()}),
            "findings": _plain(self.findings, FINDINGS),
            "seconds": round(self.seconds, 2),
        }

    def summary(self) -> str:
        """Return the report for a person: the counts, then each finding with one example."""
        dropped = self.captions_read - self.captions_used
        rate = self.images_used / max(self.seconds, 1e-9)
        lines = [
            f"captions  {self.captions_file} (read as {self.format})",
            f"          {self.captions_used} used, {dropped} dropped, "
            f"{self.captions_changed} cleaned of {self.captions_read}",
            f"images    {self.images_used} used of {self.images_found} found, "
            f"in {self.seconds:.1f} s ({rate:.0f} images/s)",
        ]
        if self.longest:
            words, image_id = self.longest["words"], self.longest["image_id"]
            lines.append(f"longest   {words} words, of image {image_id}")
        if self.splits:
            counts = ", ".join(f"{name} {count}" for name, count in self.splits.items())
            lines.append(f"splits    {counts} (from the captions file)")
        for kind, found in self.changes.items():
            first = found.examples[0]
            lines.append(f"cleaned   {found.count} x {kind}: {_change(first)}")
        for kind, found in self.findings.items():
            lines.append(f"finding   {found.count} {kind.replace('_', ' ')}: {FINDINGS[kind]}")
            lines.append(f"          e.g. {_short(plainly(found.examples[0]))}")
        return "\n".join(lines)


def _plain(findings: dict[str, Finding], meaning: dict[str, str]) -> Json:
    return {
        kind: {"count": found.count, "meaning": meaning[kind], "examples": found.examples}
        for kind, found in findings.items()
    }


def plainly(example: object) -> str:
    """Return one example of a finding in words."""
    if isinstance(example, dict):
        return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in example.items())
    return ", ".join(example) if isinstance(example, list) else str(example)


def _change(example: Json) -> str:
    return f"{_short(repr(example['before']))} -> {_short(repr(example['after']))}"


def _short(text: str) -> str:
    # The end is what cleaning changes most, so it is shown as well.
    return text if len(text) <= 100 else f"{text[:48]}...{text[-49:]}"
