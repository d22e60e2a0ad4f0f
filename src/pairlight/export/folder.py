"""Writes an exported model's folder whole or not at all, and never over something else."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from pairlight.errors import ConfigError, PairlightError
from pairlight.files import make_folder
from pairlight.runtime.folder import DESCRIPTION, EXTRAS, FILES, is_model_folder


def check_target(out: Path, overwrite: bool) -> None:
    """Raise `ConfigError` unless `out` may be written: absent, empty, or an export to replace."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: is a file; name a folder")
    if not out.exists() or not any(out.iterdir()):
        make_folder(out.absolute().parent)
        return
    foreign = {entry.name for entry in out.iterdir()} - {DESCRIPTION, *FILES, *EXTRAS}
    if foreign or not is_model_folder(out):
        raise ConfigError(
            f"--out {out}: holds something other than an exported model"
            f"{f' ({min(foreign)})' if foreign else ''}; name a new folder"
        )
    if not overwrite:
        raise ConfigError(f"--out {out}: holds an exported model; --overwrite replaces it")


def write_folder(out: Path, files: dict[str, bytes], overwrite: bool) -> None:
    """Write `files` aside, then rename the folder to `out`; an older export goes only then."""
    check_target(out, overwrite)
    out = out.resolve()
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    try:
        for name, content in files.items():
            with (aside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        aside.chmod(0o755)
        _swap(aside, out)
    except OSError as error:
        raise PairlightError(f"{out}: could not be written ({error.strerror})") from None
    finally:
        _remove(aside)


def _swap(aside: Path, out: Path) -> None:
    """Rename `aside` to `out`; what was there goes only once the new folder has its name."""
    if not out.exists():
        aside.rename(out)
        return
    old = aside.with_suffix(".old")
    out.rename(old)
    try:
        aside.rename(out)
    except BaseException:
        old.rename(out)
        raise
    _remove(old)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
