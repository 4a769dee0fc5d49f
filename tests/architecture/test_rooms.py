"""Who may import whom: the table in docs/architecture.md, as tests."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("runtime", "models", "export", "bench", "cli")

# What a room may import from its siblings, anywhere in its files.
MAY_IMPORT = {
    "runtime": {"runtime"},
    "models": {"models", "runtime"},
    "export": {"export", "models", "runtime"},
    "bench": {"bench", "runtime", "export", "models"},
    "cli": {"cli", "bench", "export", "models", "runtime"},
}
# What a room may import from its siblings when it is itself imported.
MAY_IMPORT_AT_ONCE = MAY_IMPORT | {
    "bench": {"bench", "runtime"},
    "cli": {"cli", "runtime"},
}
THIRD_PARTY = {
    "runtime": {"cv2", "numpy", "onnxruntime", "usearch"},
    "models": {"numpy", "safetensors", "torch", "torchvision"},
    "export": {"cv2", "numpy", "onnx", "pyarrow", "safetensors", "torch"},
    "bench": {"cv2", "numpy"},
    "cli": {"click", "cv2", "numpy", "tqdm"},
}
# Too slow to be imported by a command that does not need them.
HEAVY = {"cv2", "numpy", "onnx", "onnxruntime", "torch", "torchvision", "usearch"}


def files_of(room: str) -> list[Path]:
    """Return the Python files of a room."""
    return sorted((ROOT / room).rglob("*.py"))


def imports_of(path: Path, *, at_once: bool) -> Iterator[str]:
    """Yield the dotted names a file imports; ``at_once``: only those at import time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if node in skipped or (at_once and (lazy or typing_only)):
            skipped.update(ast.walk(node))
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def rooms_in(names: Iterator[str]) -> set[str]:
    """Return the rooms among imported names."""
    return {
        parts[1]
        for parts in (name.split(".") for name in names)
        if parts[0] == "boost_edge" and len(parts) > 1 and parts[1] in ROOMS
    }


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_who_they_may(room: str) -> None:
    """A room imports no sibling that the table does not allow."""
    for path in files_of(room):
        assert rooms_in(imports_of(path, at_once=False)) <= MAY_IMPORT[room], path
        assert rooms_in(imports_of(path, at_once=True)) <= MAY_IMPORT_AT_ONCE[room], path


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_know_only_their_libraries(room: str) -> None:
    """A room imports no third-party library at import time that is not on its list."""
    for path in files_of(room):
        tops = {name.split(".")[0] for name in imports_of(path, at_once=True)}
        foreign = tops - set(sys.stdlib_module_names) - {"boost_edge"}
        assert foreign <= THIRD_PARTY[room], path


# What one module of the runtime each may use where an extra brings it, inside functions.
OPTIONAL = {"exchange_parquet.py": {"pyarrow"}, "watch.py": {"watchfiles"}}


def test_the_runtime_needs_each_optional_library_in_one_place() -> None:
    """Inside functions too, the runtime imports its own libraries, but for what an extra brings."""
    for path in files_of("runtime"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        by_name = {
            str(argument.value)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and "import_module" in ast.unparse(call.func)
            for argument in call.args
            if isinstance(argument, ast.Constant)
        }
        tops = {name.split(".")[0] for name in (*imports_of(path, at_once=False), *by_name)}
        foreign = tops - set(sys.stdlib_module_names) - {"boost_edge"} - THIRD_PARTY["runtime"]
        assert foreign == OPTIONAL.get(path.name, set()), path


def test_commands_are_light() -> None:
    """The modules that declare commands import nothing heavy before a command runs."""
    verbs = [path for path in files_of("cli") if path.name not in {"page.py"}]
    for path in verbs:
        tops = {name.split(".")[0] for name in imports_of(path, at_once=True)}
        assert not tops & HEAVY, path


def test_every_module_says_what_it_is() -> None:
    """Every module has a docstring and lists its public names."""
    for room in ROOMS:
        for path in files_of(room):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert ast.get_docstring(tree), path
            assigned = {
                target.id
                for node in tree.body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            assert "__all__" in assigned or path.name == "__init__.py", path


def test_modules_stay_readable() -> None:
    """No module outgrows 400 lines, and no function 70: then it has two subjects."""
    for room in ROOMS:
        for path in files_of(room):
            text = path.read_text(encoding="utf-8")
            assert len(text.splitlines()) <= 400, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    documented = len((ast.get_docstring(node) or "").splitlines())
                    assert length - documented <= 70, f"{path}:{node.lineno} {node.name}"


def test_links_lead_to_the_rooms() -> None:
    """The links that editable installs use lead to the real folders."""
    for room in ROOMS:
        link = ROOT / "src" / "boost_edge" / room
        assert link.is_symlink()
        assert link.resolve() == ROOT / room
