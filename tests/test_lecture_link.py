"""The link that is handed over, and its QR code."""

import re
from urllib.parse import unquote

import pytest

from app import qr
from app.qr import LONGEST, QUIET, only_here


def modules(data_uri: str) -> list[list[bool]]:
    """The dark modules of a code, read from its SVG as a scanner would see them: row by row."""
    svg = unquote(data_uri.partition(",")[2])
    size = int(re.search(r"viewBox='0 0 (\d+) ", svg).group(1))
    rows = [[False] * size for _ in range(size)]
    x = y = 0.0
    path = re.search(r"stroke='#000' d='([^']+)'", svg).group(1)
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", path):
        values = [float(n) for n in re.findall(r"-?[\d.]+", numbers)]
        if command == "h":
            for i in range(int(values[0])):
                rows[int(y)][int(x) + i] = True
            x += values[0]
        else:
            x, y = values if command == "M" else (x + values[0], y + values[1])
    return rows


def test_a_code_has_its_finders_in_a_quiet_zone():
    rows = modules(qr.qr("http://192.168.1.10:8501/explore?lecture=1&show=flow,loss"))
    size, finder = len(rows), [True] * 7
    assert all(not any(rows[i]) and not any(rows[size - 1 - i]) for i in range(QUIET))
    for y, x in ((QUIET, QUIET), (QUIET, size - QUIET - 7), (size - QUIET - 7, QUIET)):
        assert rows[y][x : x + 7] == rows[y + 6][x : x + 7] == finder
        assert [row[x] for row in rows[y : y + 7]] == finder
        assert rows[y + 1][x : x + 7] == [True, *[False] * 5, True]


def test_a_longer_link_makes_a_denser_code_and_one_that_is_too_long_is_refused():
    assert len(modules(qr.qr("http://a/" + "x" * 300))) > len(modules(qr.qr("http://a/")))
    assert qr.qr("x" * LONGEST)
    with pytest.raises(ValueError, match=f"{LONGEST + 1} characters"):
        qr.qr("x" * (LONGEST + 1))


def test_nothing_of_the_link_gets_out_of_the_picture():
    assert not set(qr.qr("http://a/?x=\"><script>alert('1')</script>")) & set("\"<>'")


@pytest.mark.parametrize(
    ("link", "here"),
    [
        ("http://localhost:8501/explore", True), ("http://127.0.0.1/", True), ("http://[::1]:80/", True),
        ("http://192.168.1.10:8501/", False), ("https://explorer.example/", False), ("/explore", False),
    ],
)  # fmt: skip
def test_a_link_that_works_on_this_machine_alone_is_told(link, here):
    assert only_here(link) is here
