"""Looks over captions by their words: none, repeated, on several photos, in another language."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from pairlight.data.language import language_of
from pairlight.data.text import clean_caption, word_count
from pairlight.doctor.findings import Checkup
from pairlight.types import Photo

SHARED_BY = 3  # photos; two people may well write the same short sentence
FEWEST_WORDS = 3
_SURE = 10  # captions of a known language that it takes to speak of "most"
_SHOWN = 10


def check_captions(photos: Sequence[Photo], checkup: Checkup) -> None:
    """Add what captions show by themselves; compares them without case and final periods."""
    owners: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        seen = Counter(_plain(caption) for caption in photo.captions)
        for caption in photo.captions:
            if word_count(caption) < FEWEST_WORDS:
                checkup.add("empty_caption", {"image_id": photo.image_id, "caption": caption})
        for text, times in seen.items():
            owners[text].append(photo.image_id)
            if times > 1:
                item = {"image_id": photo.image_id, "caption": text, "times": times}
                checkup.add("repeated_caption", item)
    shared = [(text, ids) for text, ids in owners.items() if len(ids) >= SHARED_BY and text]
    for text, ids in sorted(shared, key=lambda found: -len(found[1])):
        item = {"caption": text, "photos": len(ids), "image_ids": ids[:_SHOWN]}
        checkup.add("shared_caption", item)
    _languages(photos, checkup)


def _languages(photos: Sequence[Photo], checkup: Checkup) -> None:
    """Count languages, and name captions in another than the commonest one."""
    told = [(photo, text, language_of(text)) for photo in photos for text in photo.captions]
    counts = Counter(language or "unknown" for _, _, language in told)
    checkup.languages = dict(counts.most_common())
    known = [(name, count) for name, count in counts.most_common() if name != "unknown"]
    if not known or known[0][1] < _SURE:
        return
    usual = known[0][0]
    for photo, text, language in told:
        if language not in (usual, None):
            item = {"image_id": photo.image_id, "caption": text, "language": language}
            checkup.add("other_language", item)


def _plain(caption: str) -> str:
    return clean_caption(caption)[0].casefold().rstrip(" .!")
