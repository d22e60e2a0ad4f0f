"""Names what users get told: one base class, exit code 2, one clear line, no traceback."""

from pathlib import Path


class PairlightError(Exception):
    """A mistake the user can mend; its text says what, where and what to do."""


class DataError(PairlightError):
    """Captions, images, manifests or splits that cannot be used."""


class ConfigError(PairlightError):
    """A recipe, option or name that does not exist or does not fit."""


class ModelError(PairlightError):
    """A checkpoint or weight file that is missing, damaged or not to be trusted."""


class MissingDependency(PairlightError):
    """A part of the program that needs packages which this install lacks."""


def choose(choices: dict, name: str, what: str):
    """Return `choices[name]`; a wrong name raises `ConfigError` that lists the choices."""
    if name not in choices:
        known = ", ".join(sorted(choices))
        raise ConfigError(f"unknown {what} {name!r}; choose from {known}")
    return choices[name]


def require_file(path: Path, what: str) -> Path:
    """Return `path` when it is a readable file, else raise `DataError` naming `what`."""
    if not path.exists():
        raise DataError(f"{path}: {what} not found; check the path")
    if path.is_dir():
        raise DataError(f"{path}: {what} is a folder, a file was expected")
    return path
