"""Holds what was read of a caption file: its pairs, its splits and its bad lines."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pairlight.imaging import SUFFIXES
from pairlight.types import Pair

# What caption files call the three splits; Karpathy's `restval` is by custom trained on.
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "restval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}


@dataclass
class Reading:
    """Pairs of one caption file, in file order.

    `splits` maps an image's name, as in `Pair.image`, to train, val or test where the file says;
    `problems` holds one line for each entry that could not be used.
    """

    path: Path
    format: str
    pairs: list[Pair] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def pair(self, image: str, caption: str, source: str, image_id: str | None = None) -> Pair:
        """Return the pair of an image's name and a caption; the id defaults to the bare name."""
        # JSON can spell half a surrogate pair, which no UTF-8 file can hold.
        caption = caption.encode("utf-8", "replace").decode("utf-8")
        return Pair(Path(image), caption, image_id or bare_name(image), source)

    def problem(self, source: str, why: str) -> None:
        """Note an entry that is left out."""
        self.problems.append(f"{source}: {why}")

    def note_split(self, image: str, split: object) -> None:
        """Note the split that the file gives to an image; names it does not know are a problem."""
        if split is None or split == "":
            return
        known = _SPLIT_NAMES.get(str(split).lower())
        if known is None:
            self.problem(image, f"unknown split {split!r}")
        else:
            self.splits[Path(image).as_posix()] = known


def bare_name(image: str) -> str:
    """Return an image's name without its extension, and without the folders of an absolute path."""
    name = PurePosixPath(image.replace("\\", "/"))
    if name.is_absolute():
        name = PurePosixPath(name.name)
    return (name.with_suffix("") if name.suffix.lower() in SUFFIXES else name).as_posix()
