"""The source of a function and of all that it needs, as text that stands on its own: scripts get the engine's lines.

So a new task or initialiser is in the scripts the moment it is in its table.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any


class Source:
    """`add` functions; then `imports` are the lines of import, `text` is the rest, and `files` what it reads."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.files: list[Path] = []
        self._blocks: list[str] = []  # each after those that it needs
        self._known: set[tuple[str, str]] = set()

    @property
    def text(self) -> str:
        return "\n\n".join(self._blocks)

    def add(self, function: Callable[..., Any]) -> str:
        """The name by which the text has this function, without annotations."""
        function = inspect.unwrap(function)
        module, code = sys.modules[function.__module__], function.__code__
        found = next(
            node
            for node in ast.walk(_tree(module))
            if isinstance(node, ast.FunctionDef)
            and code.co_firstlineno in (node.lineno, *(d.lineno for d in node.decorator_list))
        )
        if found in _tree(module).body:
            self._need(module, found.name)
        elif (key := (function.__module__, function.__qualname__)) not in self._known:  # one that another has made
            self._known.add(key)
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
                self._blocks.append(f"{name} = {cell.cell_contents!r}")
            self._function(module, found)
        return found.name.lstrip("_")

    def _need(self, module: ModuleType, name: str, asked: ast.AST | None = None) -> None:
        """Add what this name means in this module; `asked`: by what."""
        node = _bindings(module).get(name)
        value = getattr(module, name, None)
        if node is None:  # an argument, a local name, a builtin
            return
        if isinstance(value, ModuleType) and value.__name__.startswith("engine"):
            for part in ast.walk(asked or node):
                if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == name:
                    self._need(value, part.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("engine"):
            self._need(sys.modules[node.module or ""], name)
        elif isinstance(node, ast.ImportFrom):
            self.imports.add(f"from {node.module} import {name}")
        elif isinstance(node, ast.Import):
            self.imports |= {f"import {ast.unparse(a)}" for a in node.names if name in (a.name, a.asname)}
        elif (module.__name__, name) not in self._known:
            if isinstance(node, ast.FunctionDef):
                self._known.add((module.__name__, name))
                self._function(module, node)
            else:
                self._known |= {
                    (module.__name__, n.id) for n in ast.walk(node) if isinstance(n, ast.Name) and _is_target(n)
                }
                self._constant(module, node, value)

    def _function(self, module: ModuleType, node: ast.FunctionDef) -> None:
        for part in (*node.body, *node.decorator_list):
            self._needs(module, part)
        for arg in (*node.args.args, *node.args.kwonlyargs):
            arg.annotation = None
        lines = inspect.getsource(module).splitlines()[node.body[0].lineno - 1 : node.end_lineno]
        body = dedent("\n".join(lines)).splitlines()
        marks = [f"@{ast.unparse(d)}" for d in node.decorator_list]
        head = f"def {node.name.lstrip('_')}({ast.unparse(node.args)}):"
        text = "\n".join([*marks, head, *("    " + line if line else line for line in body)])
        self._blocks.append(_plain(module, text))

    def _constant(self, module: ModuleType, node: ast.stmt, value: Any) -> None:
        self._needs(module, node)
        if isinstance(value, Path):
            self.files.append(value)
            self._blocks.append(f'FILE = Path("{value.name}")')
            return
        lines, first = inspect.getsource(module).splitlines(), node.lineno - 1
        while lines[first - 1].startswith("#"):
            first -= 1
        self._blocks.append(_plain(module, "\n".join(lines[first : node.end_lineno])))

    def _needs(self, module: ModuleType, node: ast.AST) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and not _is_target(part):
                self._need(module, part.id, node)


def _is_target(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


@cache
def _bindings(module: ModuleType) -> dict[str, ast.stmt]:
    """What each name at the top of a module is bound by."""
    found: dict[str, ast.stmt] = {}
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name: node for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {n.id: node for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return found


def _plain(module: ModuleType, text: str) -> str:
    """Without leading underscores and without the names of the engine's modules."""
    for name, value in vars(module).items():
        if isinstance(value, ModuleType) and value.__name__.startswith("engine"):
            text = re.sub(rf"\b{name}\.", "", text)
        elif name.startswith("_") and not name.startswith("__"):
            text = re.sub(rf"\b{name}\b", name[1:], text)
    return text
