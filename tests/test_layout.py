"""The project's own rules: import direction, torch-free parts, sizes, first lines."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pairlight

ROOT = Path(pairlight.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# A part imports itself or an earlier group; lazy imports count.
GROUPS = [
    {"errors"},
    {"types", "config", "files", "hubs", "threads", "imaging", "sample", "tokenization", "words"},
    {"recipes", "output"},
    {"data", "models", "losses", "metrics", "runtime"},
    {"embed"},
    {"train", "plots", "export", "search"},
    {"report", "serve", "doctor", "explain"},
    {"cli"},
    {"__main__"},
]
LEVEL = {part: level for level, parts in enumerate(GROUPS) for part in parts}


def part_of(path):
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path):
    """Names of the parts of pairlight that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module]
            if node.module == "pairlight":
                names = [f"pairlight.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name and name.startswith("pairlight."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = part_of(path)
    if part == "__init__":  # the public names
        return
    assert part in LEVEL, f"{part} has no place in the order of parts"
    for other in imported(path):
        if other in LEVEL and other != part:
            assert LEVEL[other] < LEVEL[part], f"{part} must not import {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short_and_say_what_they_are_for(path):
    text = path.read_text(encoding="utf-8")
    if not text:
        return
    tree = ast.parse(text)
    assert len(text.splitlines()) < 300
    first = (ast.get_docstring(tree) or "").split("\n")[0]
    assert first.endswith("."), "the first line says the file's purpose in a sentence"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.end_lineno - node.body[0].lineno
            doc = ast.get_docstring(node, clean=False)
            body -= len(doc.splitlines()) if doc else 0
            assert body < 50, f"{node.name} has {body} lines"


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_so_are_those_beside_the_package(folder):
    found = sorted((ROOT.parents[1] / folder).rglob("*.py"))
    assert found
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in found}
    assert {name: length for name, length in lengths.items() if length >= 300} == {}


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_is_quick():
    """Nothing heavy at import; a time would depend on the machine, what is imported does not."""
    loaded = run_python("import sys, pairlight; print(*sys.modules)").split()
    assert not {"numpy", "torch", "PIL", "typer", "yaml"} & set(loaded)
    assert len(loaded) < 120


def test_commands_and_data_work_without_torch():
    code = (
        "import sys\n"
        "for name in ('torch', 'timm', 'transformers', 'matplotlib', 'sklearn', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "import pairlight.cli.main, pairlight.data.prepare, pairlight.data.split\n"
        "import pairlight.metrics.report, pairlight.embed, pairlight.runtime.model\n"
        "import pairlight.search.searcher, pairlight.search.index, pairlight.serve.app\n"
    )
    run_python(code)


def test_no_unsafe_loading_anywhere():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "dill", "joblib"} & set(names), path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                options = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert options.get("weights_only") == "True", path
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open"):
                assert any(word.arg == "formats" for word in node.keywords), path
