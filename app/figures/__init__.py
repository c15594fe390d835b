"""The pictures: pure functions from a snapshot of a run to Plotly figures. No page in them; notebooks use them too."""

from collections.abc import Callable

import plotly.graph_objects as go

from app.figures.clip import clip
from app.figures.flow import flow
from app.figures.flow_map import flow_map
from app.figures.loss import loss
from app.figures.palette import Palette, palette
from app.figures.state import state
from app.figures.task import task
from app.figures.template import Part, standalone
from app.snapshot import Snapshot

FIGURES: dict[str, Callable[[Snapshot, Palette], Part]] = {
    "flow": flow,
    "task": task,
    "state": state,
    "loss": loss,
    "clip": clip,
    "map": flow_map,
}


def figure(name: str, snapshot: Snapshot, theme: str = "light") -> go.Figure:
    """One picture as a Plotly figure that stands on its own, with title and words."""
    p = palette(theme)
    return go.Figure(standalone(p, FIGURES[name](snapshot, p)))


__all__ = ["FIGURES", "Palette", "figure", "palette"]
