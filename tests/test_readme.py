"""What the README shows is what happens."""

import contextlib
import io
import re
from pathlib import Path
from urllib.parse import parse_qs

import engine
from app import link

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_engine_in_code_prints_what_the_readme_says():
    code, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.S).groups()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    assert out.getvalue() == printed


def test_all_code_of_the_readme_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where files that it writes may lie
    for code in re.findall(r"```python\n(.*?)```", README, re.S):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {"engine": engine})


def test_files_that_the_readme_names_exist():
    root = Path(__file__).parent.parent
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / name).exists(), name


def test_the_readme_makes_the_gradient_explode_and_stops_it():
    query = re.search(r"localhost:8501/\?(\S+?)`", README).group(1)
    e = engine.Experiment(**link.read(parse_qs(query)).values)
    free, clipped = engine.Trainer(e), engine.Trainer(e.replace(clip="norm"))
    start = free.trace().log10_grad_norms[0]
    assert engine.verdict(start).kind == "exploding"
    assert round(start[0] - start[-1]) == 10  # "by ten decades"
    free.advance(1)
    assert engine.verdict(free.trace().log10_grad_norms[0]).zero_before == e.steps  # "no gradient is left at all"
    clipped.advance(50)
    assert engine.verdict(clipped.trace().log10_grad_norms[0]).kind == "exploding"  # "it still explodes", and lives
