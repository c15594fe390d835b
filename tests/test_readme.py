"""What the README shows is what happens."""

import contextlib
import io
import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_engine_in_code_prints_what_the_readme_says():
    code, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.S).groups()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    assert out.getvalue() == printed


def test_files_that_the_readme_names_exist():
    root = Path(__file__).parent.parent
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / name).exists(), name
