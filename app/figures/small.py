"""Small worlds, what one can see whole: the question of each, the sentence that answers it, and its pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from app.figures import cliff, one_unit, two_units
from app.figures.palette import Palette, palette
from app.figures.template import Part, standalone


@dataclass(frozen=True)
class World:
    """`pictures` and `sentence` take a Walk (cliff), a Unit (one) or a TwoUnits (two)."""

    label: str
    question: str
    sentence: Callable[[Any], str]
    pictures: Mapping[str, Callable[[Any, Palette], Part]]


SMALL: dict[str, World] = {
    "cliff": World(
        "The cliff",
        "Why does one step throw the weights away, and what does clipping do?",
        cliff.sentence,
        {"surface": cliff.surface, "plan": cliff.plan, "norms": cliff.norms, "errors": cliff.errors},
    ),
    "one": World(
        "One unit",
        "Can one unit hold a bit, and what does holding do to a gradient?",
        one_unit.sentence,
        {
            "cobweb": one_unit.cobweb, "over_u": one_unit.over_u, "gradient": one_unit.gradient,
            "over_w": one_unit.over_w,
        },
    ),
    "two": World(
        "Two units",
        "Where do two units come to rest, and what does a gradient feel on the way?",
        two_units.sentence,
        {
            "portrait": two_units.portrait, "gradient_map": two_units.gradient_map, "gradient": two_units.gradient,
            "eigenvalues": two_units.eigenvalues,
        },
    ),
}  # fmt: skip


def small_figure(name: str, picture: str, found: Any, theme: str = "light") -> go.Figure:
    """One of these pictures as a Plotly figure that stands on its own, for a notebook."""
    p = palette(theme)
    part = SMALL[name].pictures[picture](found, p)
    if "scene" not in part["layout"]:
        return go.Figure(standalone(p, part))
    text = f"<b>{part['layout']['meta']['question']}</b>"
    return go.Figure({"data": part["data"], "layout": part["layout"] | {"title": {"text": text}, "height": 480}})
