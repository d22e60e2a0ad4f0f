"""Locates the bundled sample: 35 CC BY photos with five captions each, for trying things out."""

from pathlib import Path


def sample_dir() -> Path:
    """Return the sample's folder, which holds `images/`, `captions.json` and `LICENSES.md`.

    The photos come from COCO val2017 (Lin et al. 2014); `LICENSES.md` names each one's licence.
    """
    return Path(__file__).parent
