"""The map as a picture in the browser, and what a click on one of its cells does."""

import base64
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app import export, lecture, link, maps, session, settings
from app.figures.maps import picture
from app.figures.maps_cells import Cells
from app.figures.maps_measures import named
from app.figures.palette import palette
from app.figures.template import Part
from app.figures.words import player_words
from app.frames import Encoder
from app.maps import Choice
from app.still import WORDS, theme
from app.words import _, listed

KEY = "map"
_component = st.components.v2.component(
    "map",
    html='<div class="still map"></div>',
    js="""export default async function (component) {
  const map = await import(new URL('assets/stage/map.js', document.baseURI).href)
  return map.default(component)
}""",
    isolate_styles=False,
)


def draw(cells: Cells, choice: Choice) -> None:
    painted = theme()
    figure = picture(cells, palette(painted))
    figure["layout"]["meta"]["source"] = source_of(cells, choice)
    words = {name: player_words()[name] for name in WORDS}
    words["map_keys"] = _("Cells of the map. The arrow keys move, Enter opens the run in Explore.")
    data = {
        "frame": base64.b64encode(Encoder().encode({}, {"map": figure})).decode(), "words": words, "theme": painted,
        "keys": lecture.keys(readonly=True),
    }  # fmt: skip
    st.session_state.map_cells, st.session_state.map_choice = cells, choice
    _component(data=data, key=KEY, on_theme_change=_repaint, on_pick_change=_pick)


def source_of(cells: Cells, choice: Choice) -> Part:
    """Whose it is, for those who take it away: the experiment, and the link of the map."""
    source = export.source_of(cells.experiment, cells.steps)
    knobs = listed(side.title for side in (cells.across, cells.up) if side is not None)
    return source | {
        "said": _("{experiment}; turned: {knobs}").format(experiment=source["said"], knobs=knobs),
        "file": f"{source['file']}_{'_'.join(axis.field for axis in choice.axes)}", "picture": "map",
        "link": urlencode({**link.write(cells.experiment), **maps.write(choice)}, safe=":,"),
        "y": cells.up.label if cells.up is not None else named(cells.measure), "value": named(cells.measure),
    }  # fmt: skip


def _repaint() -> None:
    session.command()
    st.session_state.theme = st.session_state[KEY].theme


def _pick() -> None:
    """A cell was chosen: the experiment of its run is opened in Explore; the map's own comes back with the page."""
    state: Any = st.session_state
    asked, choice, cells = state[KEY].pick, state.map_choice, state.map_cells
    session.command()
    place = cell(asked, choice)
    if place is None:
        return
    values = opened(choice, cells, place, {field: state[field] for field in settings.FIELDS})
    now = state.history.now
    if not all(settings.accepts(field, value) for field, value in values.items()):
        return
    state.map_left = (now.preset, dict(now.values), values)
    session.begin(now.preset, values)
    session.go("explore")


def cell(asked: Any, choice: Choice) -> tuple[int, ...] | None:
    """The cell that the browser names; None where there is no such cell."""
    if not isinstance(asked, dict):
        return None
    place = tuple(k for k in (asked.get("x"), asked.get("y"))[: len(choice.axes)] if type(k) is int)
    there = len(place) == len(choice.axes) and all(
        0 <= k < len(axis.values) for k, axis in zip(place, choice.axes, strict=True)
    )
    return place if there else None


def opened(choice: Choice, cells: Cells, place: tuple[int, ...], values: dict[str, Any]) -> dict[str, Any]:
    """The values of all controls for a cell, with that of its seeds which stands for it."""
    found = values | {axis.field: axis.values[k] for axis, k in zip(choice.axes, place, strict=True)}
    if choice.folds or choice.seeds == 1:
        return found
    return found | {"seed": values["seed"] + int(cells.opens[place])}
