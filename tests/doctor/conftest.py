"""A folder of sample photos with a clean manifest, to plant one problem at a time in."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.doctor.run import Options, check_up


class Ward:
    """Copies of the sample's photos and their manifest; `photos` may be changed, then `check`."""

    def __init__(self, folder: Path, manifest: Path):
        self.folder, self.manifest = folder, folder / "photos.jsonl"
        (folder / "images").mkdir(parents=True)
        self.photos = []
        for photo in read_manifest(manifest):
            path = folder / "images" / photo.image.name
            shutil.copy(photo.image, path)
            self.photos.append(replace(photo, image=path))

    def write(self) -> Path:
        write_manifest(self.manifest, self.photos)
        return self.manifest

    def check(self, **options):
        options.setdefault("model", "none")
        return check_up(self.write(), Options(out=self.folder / "out", **options))

    def add(self, name: str, split: str | None, captions=()):
        """Append the file `name` to the manifest as it is on disk."""
        import hashlib

        from pairlight.imaging import check_image

        path = self.folder / "images" / name
        width, height = check_image(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        first = self.photos[0]
        captions = captions or (f"this is what {name} shows",)
        self.photos.append(
            replace(first, image_id=name, image=path, captions=captions, width=width,
                    height=height, sha256=digest, split=split)
        )  # fmt: skip

    def caption(self, row: int, *captions: str):
        self.photos[row] = replace(self.photos[row], captions=captions)


@pytest.fixture
def ward(tmp_path, sample_manifest) -> Ward:
    """The sample in a folder of its own, nothing wrong with it."""
    return Ward(tmp_path / "ward", sample_manifest)
