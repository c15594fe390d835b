"""Small moving pictures for the gallery: frames of lines, dots, a map or a text, light enough for a page of them.

A film is plain JSON; assets/stage/gallery.js draws it. Coordinates are whole numbers in a box of SIDE × SIDE, y
upwards; null is a gap. Colours are named by their meaning (a field of Palette), and painted in the theme of the page.
  at, word   what the frames stand for: numbers, and the name of the sentence for one ("step", "gain")
  lines      {tone, width, dash, x, frames: one list of y, or one for each frame}
  dots       {tone, size, frames: lists of [x, y]}
  image      {map: a map of Palette, rows, columns, frames: base64 of bytes 0 … 255, the top row first}; where it
             `grows`, its one frame is uncovered from the left
  text       one string for each frame
  rest       the frame that is shown when it does not play
  axes       what goes right, what goes up and what the colours are: {"x" | "y" | "colour": [a name in AXES, low,
             high]}, the ends as texts with sup
  keys       what lines mean: [tone, dash, a name in KEYS]
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.figures.numbers import decade, short
from app.figures.palette import Palette
from app.words import N_

SIDE = 1000
POINTS = 60  # of a line: it is a few hundred pixels wide
FRAMES = 24  # of a film, at most
MAPS = ("magnitude", "losses", "signed")
TONES = ("ink", "soft", "faint", "gradient", "loss", "state", "threshold", "ghost", "paper", "panel")
AXES = {
    "t": N_("timestep t"), "gradient": N_("gradient"), "step": N_("training step"), "loss": N_("loss"),
    "loss_at": N_("loss at t"), "felt": N_("past step"), "w": N_("weight w"), "b": N_("bias b"),
    "error": N_("error"), "unit_1": N_("unit 1"), "unit_2": N_("unit 2"), "value": N_("value"),
}  # fmt: skip
KEYS = {
    "start": N_("at the start"), "adam": "Adam", "sgd": "SGD", "alone": N_("it goes on alone"),
    "clipped": N_("clipped"), "-1": "−1", "0": "0", "1": "1", "5": "5",
}  # fmt: skip
Film = dict[str, Any]


def scaled(values: np.ndarray, low: float, high: float) -> list[int | None]:
    """In the box, where low is 0 and high is SIDE; far outside cut off; None: not finite."""
    drawn = np.asarray(values, float)
    with np.errstate(invalid="ignore"):
        at = np.clip((drawn - low) / (high - low) * SIDE, -SIDE, 2 * SIDE)
    return [round(float(x)) if there else None for x, there in zip(at, np.isfinite(drawn), strict=True)]


def line(x: np.ndarray, frames: Sequence[np.ndarray], box: tuple[float, ...], tone: str, **look: Any) -> Film:
    """A curve over x; `box`: (left, right, low, high). Long ones are thinned to every so many points."""
    left, right, low, high = box
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int))
    drawn = [scaled(np.asarray(y)[kept], low, high) for y in frames]
    return {
        "tone": tone,
        "width": 2.5,
        "dash": "",
        "x": scaled(np.asarray(x)[kept], left, right),
        "frames": drawn,
    } | look


def across(y: float, box: tuple[float, ...], tone: str, **look: Any) -> Film:
    """A reference: a level line over the whole width."""
    return line(np.array(box[:2]), [np.array([y, y])], box, tone, **({"width": 1.2} | look))


def dots(frames: Sequence[np.ndarray], box: tuple[float, ...], tone: str, size: float) -> Film:
    """Points, (n, 2) in each frame."""
    left, right, low, high = box
    drawn = [list(zip(scaled(p[:, 0], left, right), scaled(p[:, 1], low, high), strict=True)) for p in frames]
    return {"tone": tone, "size": size, "frames": [[list(p) for p in f if None not in p] for f in drawn]}


def image(frames: Sequence[np.ndarray], span: tuple[float, float], colours: str) -> Film:
    """Maps, (rows, columns), the lowest row first; what is not finite is drawn as the low end."""
    low, high = span
    packed = []
    for frame in frames:
        share = np.nan_to_num((np.asarray(frame, float) - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
        raw = np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)[::-1]
        packed.append(base64.b64encode(np.ascontiguousarray(raw).tobytes()).decode())
    rows, columns = frames[0].shape
    return {"map": colours, "rows": rows, "columns": columns, "frames": packed}


def film(at: Sequence[float] = (), word: str = "", **parts: Any) -> Film:
    empty: Film = {"lines": [], "dots": [], "image": None, "text": None, "rest": -1, "axes": {}, "keys": []}
    return {"at": list(at), "word": word} | empty | parts


def axis(name: str, low: float, high: float) -> list[str]:
    """An axis from one number to another."""
    return [name, short(low), short(high)]


def decades(name: str, low: float, high: float) -> list[str]:
    """A logarithmic axis between powers of ten, the nearest whole ones."""
    return [name, decade(round(low)), decade(round(high))]


def walking_back(y: np.ndarray, frames: int) -> list[np.ndarray]:
    """A curve that grows from its right end to the left, as a gradient goes."""
    steps = np.linspace(len(y) - 1, 0, frames).round().astype(int)
    return [np.where(np.arange(len(y)) >= first, y, np.nan) for first in steps]


def colours(p: Palette) -> dict[str, Any]:
    """What the browser paints tones and maps with."""
    return {tone: getattr(p, tone) for tone in TONES} | {
        name: [colour for _at, colour in getattr(p, name)] for name in MAPS
    }
