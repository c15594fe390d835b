"""Runs the notebooks of assets/notebooks/: for the tests, and to write them with what they give.

PYTHONPATH=. .venv/bin/python tests/notebooks.py executes each and writes it with its outputs: beside every Plotly
figure a PNG, drawn by Chromium, which is what a page that runs no JavaScript shows.
"""

import base64
import os
import shutil
from pathlib import Path
from typing import Any

import nbformat
import plotly
from nbclient import NotebookClient
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "assets" / "notebooks").glob("*.ipynb"))
PLOTLY, PNG = "application/vnd.plotly.v1+json", "image/png"
LINES = {"size": "T, STEPS, SEEDS = 200, 600, (0, 1, 2)"}  # of a notebook, which a short run has others for
WIDTH, SCALE = 800, 1.5  # px of a picture, and its pixels to each


def executed(path: Path, cwd: Path, timeout: int = 170, **lines: str) -> Any:
    """The notebook after a run in the folder `cwd`; lines: what stands in it by the name of a line in LINES instead."""
    notebook = nbformat.read(path, as_version=4)
    for name, line in lines.items():
        cells = [cell for cell in notebook.cells if LINES[name] in cell.source]
        assert len(cells) == 1, f"{path}: {LINES[name]} in {len(cells)} cells"
        cells[0].source = cells[0].source.replace(LINES[name], line)
    client = NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": str(cwd)}})
    # Plotly gives the figure alone, and not with it megabytes of JavaScript.
    client.execute(env={**os.environ, "PLOTLY_RENDERER": "plotly_mimetype"})
    return notebook


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def with_pictures(notebook: Any) -> None:
    """A PNG of every Plotly figure beside it; no times of the run, which differ each time."""
    library = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    with sync_playwright() as p:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        page = p.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS)).new_page()
        page.add_script_tag(path=str(library))
        for output in outputs(notebook):
            if PLOTLY not in output.get("data", {}):
                continue
            url = page.evaluate(
                """([figure, width, scale]) => Plotly.toImage(
                  {data: figure.data, layout: {...figure.layout, width}},
                  {format: 'png', width, height: figure.layout.height, scale})""",
                [output["data"][PLOTLY], WIDTH, SCALE],
            )
            output["data"][PNG] = url.partition(",")[2]
            base64.b64decode(output["data"][PNG], validate=True)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


if __name__ == "__main__":
    for path in NOTEBOOKS:
        notebook = executed(path, path.parent, timeout=900)
        with_pictures(notebook)
        nbformat.write(notebook, path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
