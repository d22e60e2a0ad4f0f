"""Writes files so that a crash never harms what was there before, and tells them by hash."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pairlight.errors import PairlightError

if TYPE_CHECKING:
    import numpy as np


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a path aside, fsync it, then rename it to `path`.

    When writing fails (disk full, say) the old file stays whole, the piece is removed, and a
    `PairlightError` says so. A link stays, and what it leads to is written; a device or a pipe is
    written to as it is, since to put a file in its place would destroy it.
    """
    if is_stream(path):
        _write_to_stream(path, write)
        return
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(aside)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    # torch's zip writer turns a full disk into a RuntimeError of its own.
    except (OSError, RuntimeError) as error:
        _remove(aside)
        kept = "; the old file is unharmed" if path.exists() else ""
        raise _not_written(path, error, kept) from None
    except BaseException:
        _remove(aside)
        raise
    _fsync_folder(path.parent)


def is_stream(path: Path) -> bool:
    """Whether `path` is there and is neither a file nor a folder: a device, a pipe, a socket."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_to_stream(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write(path)
    except (OSError, RuntimeError) as error:
        raise _not_written(path, error) from None


def _not_written(path: Path, error: Exception, kept: str = "") -> PairlightError:
    reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
    return PairlightError(f"{path}: could not be written ({reason}){kept}")


def make_folder(path: Path) -> None:
    """Make a folder and those above it; raises `PairlightError` where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PairlightError(f"{path}: cannot make this folder ({error.strerror})") from None
    if not os.access(path, os.W_OK):
        raise PairlightError(f"{path}: this folder cannot be written to")


def write_text_atomic(path: Path | str, parts: Iterable[str]) -> None:
    """Write pieces of UTF-8 text with `write_atomic`: no reader ever sees half a file."""

    def write(aside: Path) -> None:
        with aside.open("w", encoding="utf-8", newline="\n") as file:
            # A file name that is no UTF-8 text must not lose us all the rest.
            file.writelines(each.encode("utf-8", "backslashreplace").decode() for each in parts)

    write_atomic(Path(path), write)


def write_arrays(path: Path, **arrays: "np.ndarray") -> None:
    """Write arrays by name as one .npz with `write_atomic`."""
    import numpy as np

    def write(aside: Path) -> None:
        with aside.open("wb") as file:  # given a name, numpy would add a suffix to it
            np.savez(file, **arrays)  # type: ignore[arg-type]

    write_atomic(path, write)


def read_arrays(path: Path, *names: str) -> "dict[str, np.ndarray] | None":
    """Return the named arrays of an .npz, None where it is absent, damaged or lacks one.

    Nothing in the file is run.
    """
    import numpy as np

    try:
        # Opened here: numpy leaves a file open that it finds damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in names}
    except Exception:  # numpy and zipfile raise nearly anything on damaged files
        return None


def sha256_of(path: Path | str) -> str:
    """Return the hex sha256 of a file's bytes; raises `OSError`."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    # Below a file instead of a folder there is nothing to remove, and asking is an error.
    with contextlib.suppress(OSError):
        path.unlink()


def _fsync_folder(folder: Path) -> None:
    # The rename itself lasts only once its folder is on disk. Windows cannot open folders.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
