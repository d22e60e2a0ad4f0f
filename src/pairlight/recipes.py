"""Reads recipes from YAML, changes single fields, and describes them."""

import ast
import dataclasses
import inspect
import math
import textwrap
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from pairlight.config import Recipe, check
from pairlight.errors import ConfigError

CONFIG_DIR = Path(__file__).parent / "configs"
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def load_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """Return the named recipe, or the one in a YAML file, with `KEY=VALUE` overrides applied.

    Keys are dotted (`train.seed=1`, `stages.0.epochs=3`). Unknown keys are errors that list the
    known ones.
    """
    known = {path.stem: path for path in sorted(CONFIG_DIR.glob("*.yaml"))}
    path = known.get(name)
    if path is None:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(
                f"unknown recipe {name!r}; choose from {', '.join(known)}, or give a YAML file"
            )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a YAML recipe: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of name, model, augment, train, stages")
    for override in overrides or []:
        _override(raw, override)
    return from_dict(Recipe, raw, where=f"{path.name} with --set" if overrides else str(path))


def _override(raw: dict, override: str) -> None:
    """Set one dotted `KEY=VALUE` inside `raw`, in place."""
    key, equals, value = override.partition("=")
    check(bool(equals), f"--set {override!r}: write KEY=VALUE, as in train.seed=1")
    at: Any = raw
    *parents, last = key.split(".")
    for part in parents:
        if isinstance(at, list):
            at = at[_index(at, part, key)]
        else:
            at = at.setdefault(part, {})
        check(isinstance(at, dict | list), f"--set {key}: {part} holds a value, not fields")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: {value!r} is no YAML value") from None
    if isinstance(at, list):
        at[_index(at, last, key)] = parsed
    else:
        at[last] = parsed


def _index(items: list, part: str, key: str) -> int:
    ok = part.isascii() and part.isdecimal() and int(part) < len(items)
    check(ok, f"--set {key}: {part!r} is not one of 0..{len(items) - 1}")
    return int(part)


def from_dict(cls: type, raw: dict, where: str = "recipe") -> Any:
    """Build the dataclass `cls` from plain values, as `dataclasses.asdict` gives them."""
    hints = get_type_hints(cls)
    unknown = sorted(set(raw) - set(hints), key=str)
    if unknown:
        raise ConfigError(
            f"{where}: unknown key {unknown[0]!r} in {cls.__name__}; known: {', '.join(hints)}"
        )
    return cls(**{key: _coerce(hints[key], raw[key], f"{where}: {key}") for key in raw})


def _coerce(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        check(isinstance(value, dict), f"{where}: expected fields, got {value!r}")
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        check(isinstance(value, list | tuple), f"{where}: expected a list, got {value!r}")
        item = get_args(hint)[0]
        return tuple(_coerce(item, each, f"{where}.{n}") for n, each in enumerate(value))
    options = get_args(hint) or (hint,)
    if value is None and type(None) in options:
        return None
    kind = options[0]
    wanted = _WORDS[kind]
    if type(None) in options:
        wanted = f"{wanted.replace(' or', ',')} or null"
    if kind is float and not isinstance(value, bool):
        try:
            number = float(value)  # type: ignore[arg-type]  # YAML reads 1e-3 as a string
        except (TypeError, ValueError):
            raise ConfigError(f"{where}: expected {wanted}, got {value!r}") from None
        check(math.isfinite(number), f"{where}: expected a finite number, got {value!r}")
        return number
    check(type(value) is kind, f"{where}: expected {wanted}, got {value!r}")
    return value


def field_help(cls: type) -> dict[str, str]:
    """Return each field's docstring (the string that follows it in the source)."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    found = {}
    for before, after in zip(body, body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr):
            found[before.target.id] = " ".join(ast.literal_eval(after.value).split())  # type: ignore[union-attr]
    return found


def describe(recipe: Recipe) -> str:
    """Return every field of `recipe` with its value and its help, one a line."""
    lines = [f"name: {recipe.name}"]
    sections = [("model", recipe.model), ("augment", recipe.augment), ("train", recipe.train)]
    sections += [(f"stages.{n}", stage) for n, stage in enumerate(recipe.stages)]
    for prefix, section in sections:
        help_of = field_help(type(section))
        for field in dataclasses.fields(section):
            value = getattr(section, field.name)
            if value is None or isinstance(value, bool):  # as --set takes them
                value = {None: "null", True: "true", False: "false"}[value]
            lines.append(f"{prefix}.{field.name} = {value}\n    {help_of[field.name]}")
    return "\n".join(lines)
