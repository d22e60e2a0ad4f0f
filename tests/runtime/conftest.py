"""The tiny model exported, in fp32 and in int8, and a copy to spoil."""

import json
import shutil
from pathlib import Path

import pytest
from exported import export_once


@pytest.fixture(scope="session")
def exported(tiny_checkpoint) -> Path:
    """The tiny model's exported folder, in fp32."""
    return export_once(tiny_checkpoint, tiny_checkpoint.parent, False)


@pytest.fixture(scope="session")
def exported_int8(tiny_checkpoint) -> Path:
    """The tiny model's exported folder, in int8 where the gate allows."""
    return export_once(tiny_checkpoint, tiny_checkpoint.parent, True)


@pytest.fixture
def spoiled(tmp_path, exported) -> Path:
    """A copy of the exported folder, free to change."""
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    return folder


@pytest.fixture
def edit(spoiled):
    """Return a function that changes keys of the copy's model.json."""

    def change(**keys) -> Path:
        path = spoiled / "model.json"
        facts = json.loads(path.read_text(encoding="utf-8"))
        facts.update(keys)
        path.write_text(json.dumps(facts), encoding="utf-8")
        return spoiled

    return change
