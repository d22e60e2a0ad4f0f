"""The tiny model exported, in fp32."""

from pathlib import Path

import pytest
from exported import export_once


@pytest.fixture(scope="session")
def exported(tiny_checkpoint) -> Path:
    """The tiny model's exported folder, in fp32."""
    return export_once(tiny_checkpoint, tiny_checkpoint.parent, False)
