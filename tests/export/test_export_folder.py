"""An exported folder is written whole or not at all, and over nothing else."""

import pytest

from pairlight.errors import ConfigError, PairlightError
from pairlight.export import folder as module
from pairlight.export.folder import check_target, write_folder
from pairlight.runtime.folder import FILES

OLD = {"model.json": b'{"format": "pairlight-model"}', **dict.fromkeys(FILES, b"old")}
NEW = {"model.json": b'{"format": "pairlight-model", "version": 2}', **dict.fromkeys(FILES, b"new")}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def alone(folder):
    """Nothing else is left beside the folder."""
    return [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_new_and_an_empty_folder(tmp_path):
    for name in ("new/deep", "empty"):
        out = tmp_path / name / "model"
        if name == "empty":
            out.mkdir(parents=True)
        check_target(out, False)
        write_folder(out, OLD, False)
        assert content(out) == OLD and alone(out)


def test_an_export_is_replaced_only_when_asked(tmp_path):
    out = tmp_path / "model"
    write_folder(out, OLD, False)
    with pytest.raises(ConfigError, match="--overwrite replaces it"):
        write_folder(out, NEW, False)
    assert content(out) == OLD
    write_folder(out, NEW, True)
    assert content(out) == NEW and alone(out)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_export_stays(tmp_path, overwrite):
    out = tmp_path / "photos"
    out.mkdir()
    (out / "a.jpg").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"something other than an exported model \(a.jpg\)"):
        check_target(out, overwrite)
    (out / "a.jpg").rename(out / "model.json")
    with pytest.raises(ConfigError, match="something other than an exported model;"):
        check_target(out, overwrite)
    export = tmp_path / "model"
    write_folder(export, OLD, False)
    (export / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="notes.txt"):
        write_folder(export, NEW, True)
    assert (export / "notes.txt").read_text() == "mine"
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="is a file"):
        check_target(file, overwrite)


def test_a_failed_write_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    out = tmp_path / "model"
    write_folder(out, OLD, False)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(PairlightError, match="No space left"):
        write_folder(out, NEW, True)
    assert content(out) == OLD and alone(out)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_failed_rename_puts_the_old_one_back(tmp_path, monkeypatch, error):
    out = tmp_path / "model"
    write_folder(out, OLD, False)
    real = module.Path.rename

    def rename(self, target):
        if self.suffix == ".part":
            raise error
        return real(self, target)

    monkeypatch.setattr(module.Path, "rename", rename)
    with pytest.raises((PairlightError, KeyboardInterrupt)):
        write_folder(out, NEW, True)
    assert content(out) == OLD and alone(out)
