"""What everybody can see and hear: contrast, colours apart for every eye, no line by colour alone, numbers in words."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import small
from app.figures import FIGURES, palette
from app.figures.palette import PALETTES
from app.figures.small import SMALL
from app.figures.spoken import spoken

from .test_figures import CASES

ASSETS = Path(__file__).parent.parent / "assets"
TEXT, LINE = 4.5, 3.0  # WCAG 2.2 AA, success criteria 1.4.3 and 1.4.11
APART = 9.0  # CIE76 between two lines of the same make; a just noticeable difference is about 2.3
EYES = {  # Machado, Oliveira & Fernandes 2009, severity 1.0, on linear RGB
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(colour: str, eye: str) -> np.ndarray:
    x = XYZ @ np.clip(EYES[eye] @ linear(colour), 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a: str, b: str, eye: str) -> float:
    return float(np.linalg.norm(lab(a, eye) - lab(b, eye)))


def mixed(colour: str, paper: str, opacity: float) -> str:
    """A colour that lets the paper through."""
    pairs = [(int(colour[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(opacity * c + (1 - opacity) * p):02X}" for c, p in pairs)


def rule(css: str, selector: str) -> dict[str, str]:
    """The variables of a rule."""
    found = re.search(re.escape(selector) + r" \{([^}]*)\}", css)
    assert found, selector
    return {name: value.strip() for name, value in re.findall(r"--([\w-]+): ([^;]+);", found.group(1))}


CSS = (ASSETS / "stage" / "stage.css").read_text()
STAGE = {"light": rule(CSS, ":is(#stage, .still)"), "dark": rule(CSS, ":is(#stage, .still).dark")}


def test_the_measure_agrees_with_known_values():
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)
    assert distance("#FF0000", "#00FF00", "normal") == pytest.approx(170.6, abs=0.5)
    assert distance("#BC4A00", "#6B6B00", "deuteranopia") < distance("#BC4A00", "#6B6B00", "normal") / 2


@pytest.mark.parametrize("theme", PALETTES)
def test_what_is_read_has_the_contrast_of_text_and_what_is_a_line_that_of_a_line(theme):
    p = palette(theme)
    for name in ("ink", "soft", "gradient", "loss", "state", "threshold", "theory"):
        for paper in (p.paper, p.panel):
            assert contrast(getattr(p, name), paper) >= TEXT, name
    assert contrast(p.ghost, p.paper) >= LINE


@pytest.mark.parametrize("theme", PALETTES)
def test_the_stage_has_the_colours_of_the_pictures(theme):
    for name, value in STAGE[theme].items():
        if hasattr(palette(theme), name):
            assert value == getattr(palette(theme), name), name
    assert contrast(STAGE[theme]["edge-soft"], STAGE[theme]["paper"]) >= LINE, "the edge of a button"


KINDS = {
    "light": {"healthy": ":is(#stage, .still)", "vanishing": "#stage:is([data-kind=vanishing], [data-kind=none])",
              "exploding": "#stage[data-kind=exploding]",
              "lost": "#stage:is([data-kind=diverged], [data-kind=thrown])"},
    "dark": {"healthy": "#stage.dark[data-kind=healthy]", "exploding": "#stage.dark[data-kind=exploding]",
             "vanishing": "#stage.dark:is([data-kind=vanishing], [data-kind=none])",
             "lost": "#stage.dark:is([data-kind=diverged], [data-kind=thrown])"},
}  # fmt: skip


@pytest.mark.parametrize(("theme", "kind"), [(theme, kind) for theme, kinds in KINDS.items() for kind in kinds])
def test_the_badge_is_read_on_each_of_its_colours(theme, kind):
    badge = rule(CSS, KINDS[theme][kind])
    for under in re.findall(r"#[0-9A-F]{6}", badge["badge"]):
        assert contrast(badge["on-badge"], under) >= TEXT
    assert contrast(badge["edge"], STAGE[theme]["paper"]) >= LINE


@pytest.mark.parametrize(
    ("theme", "ink", "papers"),
    [("light", "#1B1F24", ("#FFFFFF", "#F6F7F9", "#EDEFF2")), ("dark", "#E8EAED", ("#12151A", "#191D23", "#232932"))],
)
def test_text_that_steps_back_is_still_read(theme, ink, papers):
    config = (ASSETS.parent / ".streamlit" / "config.toml").read_text()
    assert all(colour in config for colour in (ink, *papers)), "these are the theme's"
    for file in ("chrome.css", "lecture.css"):
        for opacity in map(float, re.findall(r"[ {;]opacity: ?(\.\d+)", (ASSETS / file).read_text())):
            for paper in papers:
                assert contrast(mixed(ink, paper, opacity), paper) >= TEXT, (file, opacity)


def strokes(figure: dict[str, Any]) -> set[tuple[str, str, float]]:
    """Colour, make (dash, and whether it is upright) and width of every curve and reference line."""
    found = set()
    for trace in figure["data"]:
        if trace["type"] == "scatter" and "lines" in trace["mode"]:
            found.add((trace["line"]["color"][:7], trace["line"].get("dash", "solid"), trace["line"]["width"]))
    for shape in figure["layout"]["shapes"]:
        if shape["type"] == "line":
            make = shape["line"].get("dash", "solid") + (" upright" if shape["x0"] == shape["x1"] else "")
            found.add((shape["line"]["color"][:7], make, shape["line"]["width"]))
    return {stroke for stroke in found if stroke[2] > 0}


@pytest.mark.parametrize("theme", PALETTES)
@pytest.mark.parametrize("name", FIGURES)
def test_lines_of_the_same_make_are_apart_for_every_eye(name, theme):
    p = palette(theme)
    decoration, seen = {p.faint, p.grid, p.paper}, set[tuple[str, str]]()
    for s in CASES.values():
        for (a, dash, width), (b, other_dash, other_width) in combinations(strokes(FIGURES[name](s, p)), 2):
            if a != b and dash == other_dash and abs(width - other_width) < 1 and not decoration & {a, b}:
                seen.add((a, b))
    for a, b in seen:
        for eye in EYES:
            assert distance(a, b, eye) >= APART, (a, b, eye)


def numbers_in(figure: dict[str, Any]) -> bool:
    meta = spoken(figure)["layout"]["meta"]
    said = re.sub(r"<su[bp]>.*?</su[bp]>|h<sub>t</sub>", "", meta["answer"]) + meta["alt"]
    return bool(re.search(r"\d", said))


@pytest.mark.parametrize("name", FIGURES)
def test_every_picture_says_in_numbers_what_it_shows(name):
    for case, s in CASES.items():
        figure = FIGURES[name](s, palette("light"))
        arrays = [t[k] for t in figure["data"] for k in "yz" if isinstance(t.get(k), np.ndarray)]
        assert numbers_in(figure) or not any(np.isfinite(a).any() for a in arrays), case


@pytest.mark.parametrize("part", SMALL)
def test_so_do_those_of_small_worlds(part):
    found = small.look(small.DEFAULTS | {"part": part})
    for name, draw in SMALL[part].pictures.items():
        assert numbers_in(draw(found, palette("light"))), name


def curve(y: list[float], **meta: Any) -> dict[str, Any]:
    trace = {"type": "scatter", "x": np.arange(len(y)), "y": np.array(y)}
    label = {"text": "<b>a</b>", "traces": [0]}
    about = {"labels": [label], "ticks": {"x": "count", "y": "log"}, "x": "step", "bar": None, "notes": []}
    return {"data": [trace], "layout": {"meta": about | meta}}


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([0.0, -1.0, -2.0], "<b>a</b>: 1 at step 0, 0.01 at step 2."),
        ([0.0, -5.0, -1.0], "<b>a</b>: 1 at step 0, 0.1 at step 2, between 10<sup>−5</sup> and 1."),
        ([np.nan, -1.0, np.inf], "<b>a</b>: 0.1 at step 1."),
        ([np.nan], ""),
    ],
)
def test_a_curve_is_told_by_its_ends_and_how_far_it_goes(y, said):
    assert spoken(curve(y))["layout"]["meta"]["alt"] == said


def test_a_picture_that_speaks_for_itself_is_left_alone():
    assert spoken(curve([0.0, 1.0], alt="mine"))["layout"]["meta"]["alt"] == "mine"
