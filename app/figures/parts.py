"""The parts of a network in rows: W_hh of each gate, W_ih, the biases, the head."""

from collections.abc import Sequence
from html import escape

import numpy as np

from app.figures.asked import Asked, log_axis
from app.figures.numbers import minus, short
from app.figures.palette import Palette
from app.figures.scales import gaps
from app.figures.template import Part, across, axis, dots, label, layout
from app.words import _
from engine.instruments.blocks import Block

FAINTEST = -40.0  # decades: what is smaller is off the picture
NAMES = {
    "W_hh": "W<sub>hh</sub>", "W_ih": "W<sub>ih</sub>", "b": "b", "W_out": "W<sub>out</sub>",
    "b_out": "b<sub>out</sub>", "E": "E",
}  # fmt: skip
MARKS = {"circle": "●", "diamond": "◆"}
Series = tuple[str, str, np.ndarray, str, str]


def name(block: Block) -> str:
    return f"{NAMES.get(block.name) or escape(block.name)} {block.gate}".strip()


def tensor(name: str) -> str:
    """The tensor that a pass names as its first without finite numbers, in words; weights and states as they are."""
    name, _at, t = name.partition(" at t = ")
    name = {"outputs": _("outputs"), "loss": _("loss")}.get(name, name)
    text = _("{name} at t = {t}") if t else "{name}"
    if name.startswith("gradient of "):
        name = name.removeprefix("gradient of ")
        text = _("gradient of {name} at t = {t}") if t else _("gradient of {name}")
    return text.format(name=name, t=t)


def here(a: Asked, blocks: Sequence[Block]) -> list[int]:
    """The blocks of the shown layer, the head and the embedding."""
    return [k for k, block in enumerate(blocks) if block.layer in (a.layer, None)]


def rows(a: Asked, p: Palette, blocks: Sequence[Block], series: list[Series], least: tuple[float, float]) -> Part:
    """A row for each block of the layer, and in it a dot for each of (key, text, log10 values, colour, symbol)."""
    own = here(a, blocks)
    y = np.arange(len(own), 0, -1, dtype=np.float32)
    data: list[Part] = []
    labels: list[Part] = []
    x_axis = log_axis(p, np.concatenate([values[own] for _key, _text, values, *_look in series]), FAINTEST, least)
    for key, text, values, color, symbol in series:
        x = np.where(values[own] < FAINTEST, np.float32(np.nan), gaps(values[own]))
        hover = [f"{name(blocks[k])}: {text} {_power(values[k])}" for k in own]
        data.append(dots(x, y, color, 11, symbol=symbol) | {"hoverinfo": "text", "hovertext": hover})
        if len(series) > 1:
            at = [float(x_axis["range"][1]), len(own) + 0.6 - 0.8 * len(labels)]
            labels.append(label(key, f"{MARKS[symbol]} {text}", color, [len(data) - 1], "at", at=at))
    y_axis = axis(p, (0.4, len(own) + 0.9), ([float(v) for v in y], [name(blocks[k]) for k in own]))
    shapes = [across(v, p.grid, x_axis["range"][1], x_axis["range"][0], width=1) for v in y.tolist()]
    meta = {"labels": labels, "ticks": {"x": "log", "y": "names"}}
    return {"data": data, "layout": layout(p, x_axis, y_axis, meta, shapes, "closest")}


def _power(value: float) -> str:
    return f"10<sup>{minus(f'{value:.2f}')}</sup>" if np.isfinite(value) else short(10**value)
