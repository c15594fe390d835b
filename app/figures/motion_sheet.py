"""What the unrolled network is drawn on: its rows, the widths of its edges, its words."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from app.figures.motion import Motion
from app.figures.scales import gaps
from app.figures.template import Part

NODE, HALF, GAP = 0.26, 0.3, 0.4  # half the width of a node, in columns; half its height and the distance, in rows
WIDEST, THINNEST = 0.29, 0.008  # half the width of an edge, in rows, at the ends of the scale
DEEPEST = 16.0  # decades that the widths span at most
LINE = 0.072  # height of a line of words, as a share of the picture: it is to hold however many layers there are


class Rows(NamedTuple):
    """Heights: of the words below and above the layers, whose nodes are at 1, 2, …; and the ends of the axis."""

    low: float
    x: float
    norm: float
    under: float  # where the lines to the words below end
    over: float  # and those above
    says: float
    right: float
    loss: float
    high: float


def heights(layers: int) -> Rows:
    body = layers - 1 + 2 * HALF
    q = LINE * body / (1 - 6.7 * LINE)
    bottom, top = 1 - HALF, layers + HALF
    return Rows(
        bottom - 2.9 * q, bottom - 2.2 * q, bottom - 1.15 * q, bottom - 0.6 * q, top + 0.8 * q, top + 1.3 * q,
        top + 2.3 * q, top + 3.3 * q, top + 3.8 * q,
    )  # fmt: skip


@dataclass
class Sheet:
    """What is drawn so far, and from which position on it is seen."""

    data: list[Part]
    reveal: list[Part]

    def add(self, trace: Part, **shown: Any) -> None:
        """shown: `since` (and `until`), a position for each point; `columns`, for each column of a map."""
        if shown:
            self.reveal.append({"trace": len(self.data)} | shown)
        self.data.append(trace)


def widths(m: Motion) -> tuple[float, float]:
    """The decades that the thinnest and the widest edge stand for."""
    norms = m.unrolled.log10_norms
    finite = norms[np.isfinite(norms)]
    if not finite.size:
        return -4.0, 0.0
    high = float(np.ceil(finite.max()))
    return min(max(float(np.floor(finite.min())), high - DEEPEST), high - 4.0), high


def width(log10: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Half the width of an edge, in rows; NaN for no gradient at all."""
    low, high = scale
    share = np.clip((np.asarray(log10) - low) / (high - low), 0.0, 1.0)
    return np.where(np.isfinite(log10), THINNEST + share * (WIDEST - THINNEST), np.nan)


def frames(x: np.ndarray, y: float, h: float, more: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The outline of a node at each x, 2·h high; `more` on all sides."""
    w, h = NODE + more, h + 0.5 * more
    xs = np.array([[v - w, v + w, v + w, v - w, v - w, np.nan] for v in x]).ravel()
    return xs, np.tile([y - h, y - h, y + h, y + h, y - h, np.nan], len(x))


def text(x: Any, y: Any, words: list[str], color: str, size: float = 1.0) -> Part:
    """Words at points. (`markers+text`: mode `text` is for letters, which a crowded picture leaves out.)"""
    return {
        "type": "scatter", "mode": "markers+text", "x": gaps(np.asarray(x)), "y": gaps(np.asarray(y)), "text": words,
        "textposition": "middle center", "textfont": {"color": color}, "hoverinfo": "skip", "cliponaxis": False,
        "marker": {"size": 0.1, "color": color, "opacity": 0}, "meta": {"size": size},
    }  # fmt: skip
