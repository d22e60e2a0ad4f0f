"""Names every finding of a check-up: how grave it is, what it means, what to do about it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from pairlight.errors import choose
from pairlight.types import SPLITS, Json


class Kind(NamedTuple):
    """What a finding means, and what a person should do."""

    meaning: str
    advice: str


# Gravest first: the order of the report and of the contact sheet.
KINDS = {
    "leak": Kind(
        "groups of one picture that stands in several splits: what is measured was trained on",
        "move each group to one split (--fix does for equal bytes), or split again",
    ),
    "vanished": Kind(
        "image files that are not where the manifest says",
        "put them back, or leave them out (--fix does)",
    ),
    "unreadable": Kind(
        "image files that do not open to their end",
        "replace them, or leave them out (--fix does)",
    ),
    "changed": Kind(
        "image files whose bytes or size are no longer those of the manifest",
        "look at them; run `pairlight prepare` again if they are right as they are",
    ),
    "mixed_up": Kind(
        "photos all of whose captions more likely belong to another photo, most doubtful first",
        "look whether two file names were exchanged",
    ),
    "mislabelled": Kind(
        "captions that more likely belong to another photo, most doubtful first",
        "look at them from the top and mend or delete; stop where they begin to be right",
    ),
    "duplicate": Kind(
        "groups of one picture within a split: equal bytes, nearly equal pixels, or mirrored",
        "keep one of each with all captions; copies compete with each other in every measure",
    ),
    "look_alike": Kind(
        "pairs of photos that the model can hardly tell apart, though their pixels differ",
        "harmless within a split; across splits check that they are not one scene shot twice",
    ),
    "empty_caption": Kind(
        "captions of fewer than three words",
        "write a sentence, or delete them (--fix deletes those without a letter)",
    ),
    "repeated_caption": Kind(
        "captions that one photo has more than once", "delete the copies: they add no words"
    ),
    "shared_caption": Kind(
        "captions that stand on several photos, word for word",
        "make them say what is special about each photo; none can be retrieved by such words",
    ),
    "other_language": Kind(
        "captions in another language or script than most",
        "translate or delete them, or train with a text encoder that knows both",
    ),
    "resolution": Kind(
        "images far smaller or larger than the others", "replace thumbnails by the full photos"
    ),
    "brightness": Kind(
        "images far darker or lighter than the others", "look whether anything can be seen on them"
    ),
    "contrast": Kind(
        "images far flatter than the others, or blank", "look whether anything can be seen on them"
    ),
    "aspect": Kind(
        "images more than three times as long as wide: the model sees them squashed",
        "crop them to what the captions speak of",
    ),
}


@dataclass
class Checkup:
    """What a check-up found; `findings` has the items of each kind of `KINDS` that occurs.

    `ranking` has the most doubtful captions, findings or not, `photo_ranking` the most doubtful
    photos;
    `languages` counts captions; `fixed` says what a mended manifest leaves out.
    """

    manifest: str
    photos: int
    captions: int
    splits: dict[str, int]
    model: str | None = None
    findings: dict[str, list[Json]] = field(default_factory=dict)
    ranking: list[Json] = field(default_factory=list)
    photo_ranking: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fixed: Json | None = None
    languages: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, kind: str, item: Json) -> None:
        """Keep one finding; `kind` is a key of `KINDS`."""
        assert kind in KINDS, kind
        self.findings.setdefault(kind, []).append(item)

    def found(self, kind: str) -> list[Json]:
        """Return the items of one kind, none where it does not occur."""
        return self.findings.get(kind, [])

    def to_json(self) -> Json:
        """Return everything as plain values: a key for each kind, also those that do not occur."""
        return {
            "manifest": self.manifest,
            "photos": self.photos,
            "captions": self.captions,
            "splits": self.splits,
            "model": self.model,
            "languages": self.languages,
            "findings": {
                name: {"count": len(self.found(name)), **kind._asdict(), "items": self.found(name)}
                for name, kind in KINDS.items()
            },
            "ranking": self.ranking,
            "photo_ranking": self.photo_ranking,
            "notes": self.notes,
            "fixed": self.fixed,
            "files": self.files,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


def splits_of(splits: list[str | None]) -> dict[str, int]:
    """Return how many photos each split has, those in none last."""
    counts = {name: splits.count(name) for name in SPLITS if name in splits}
    return counts | ({"none": splits.count(None)} if None in splits else {})


def parse_kinds(text: str) -> list[str]:
    """Return the kinds that a list by commas names; raises `ConfigError` for an unknown one."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        choose(KINDS, name, "finding")
    return names


def failing(checkup: Checkup, kinds: list[str]) -> str:
    """Return in words which of `kinds` were found, nothing when none was."""
    return ", ".join(f"{len(checkup.found(name))} {name}" for name in kinds if checkup.found(name))
