"""The arrows point one way: engine → figures → pages. Walked over every import statement, the ones in functions too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from engine._jit import WITHOUT_KERNELS

ROOT = Path(__file__).parent.parent
# folder or file: top-level packages it may import, beside the standard library and its own package
ALLOWED = {
    "engine": {"numpy", "numba", "llvmlite", "scipy", "pydantic", "pydantic_core", "safetensors", "engine"},
    "app/figures": {"numpy", "plotly", "engine", "app"},
    "app/snapshot.py": {"numpy", "engine", "app"},
    "app/frames.py": {"numpy", "engine", "app"},
    "app/runs.py": {"numpy", "engine", "app"},
    "app/words.py": {"babel"},
}
BESIDE = {"engine/sweeps": {"xarray", "dask", "distributed", "threadpoolctl"}, "engine/own": {"pandas"}}  # these alone
NOT_EVEN_INDIRECTLY = {  # module: what it must not load, through whatever it imports
    "engine": ("app", "streamlit", "plotly", "starlette", "torch", "xarray", "pandas", "dask", "distributed"),
    "app.figures": ("streamlit", "starlette", "torch"),
    "app.frames": ("streamlit", "starlette", "torch"),
    "app.runs": ("streamlit", "starlette", "torch"),
}


def files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full dotted names of every import in a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("place", list(ALLOWED))
def test_imports_are_allowed(place):
    assert files(place), f"nothing at {place}"
    for path in files(place):
        tops = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)
        allowed = ALLOWED[place] | BESIDE.get(path.parent.relative_to(ROOT).as_posix(), set())
        assert tops <= allowed, f"{path.relative_to(ROOT)} imports {sorted(tops - allowed)}"


def test_nothing_imports_the_tests_or_their_tools():
    for path in files("engine") + files("app"):
        tops = {name.split(".")[0] for name in imports(path)}
        assert not tops & {"tests", "torch", "pytest", "hypothesis", "playwright"}, path


def test_streamlit_is_for_pages_only():
    """Runs, pictures, curves and frames work in a notebook, too."""
    pages = {
        "main.py", "explorer.py", "controls.py", "session.py", "learning.py", "stage.py", "still.py", "live.py",
        "audience.py", "doors.py", "handout.py", "headers.py", "lecture.py", "qr.py",
        "nowhere.py", "uploads.py",
    }  # fmt: skip
    for path in files("app"):
        tops = {name.split(".")[0] for name in imports(path)}
        if tops & {"streamlit", "starlette", "uvicorn"}:
            assert path.parent.name == "views" or path.name in pages, path


def test_figures_know_nothing_of_the_pages():
    lower = {"app.figures", "app.snapshot", "app.shown", "app.thrown", "app.words", "app.frames"}
    for path in files("app/figures"):
        for name in imports(path):
            if name.startswith("app."):
                assert any(name == module or name.startswith(module + ".") for module in lower), f"{path}: {name}"


def test_instruments_read_results_and_kernels_know_no_instrument():  # a sweep measures with instruments
    for path in files("engine"):
        if path.parent.name in ("instruments", "sweeps") or path.name == "__init__.py":
            continue
        assert not any(name.startswith("engine.instruments") for name in imports(path)), path


def test_no_kernel_depends_on_a_folder_that_its_cache_does_not_know():
    """An edit there compiles nothing anew. The engine's and the instruments' lists of names are no kernels."""
    for path in files("engine"):
        inside = path.relative_to(ROOT / "engine").parts[0]
        found = imports(path)
        if inside in (*WITHOUT_KERNELS, "__main__.py"):
            assert not any(name.startswith(("engine._jit.jit", "numba")) for name in found), path
        elif path.name != "__init__.py":
            assert not any(name.split(".")[1:2] == [apart] for name in found for apart in WITHOUT_KERNELS), path


@pytest.mark.parametrize("module", list(NOT_EVEN_INDIRECTLY))
def test_what_is_loaded_in_a_fresh_process(module):
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & set(NOT_EVEN_INDIRECTLY[module])
