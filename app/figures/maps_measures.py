"""How each measure of a map is looked at: the question, how its values become colours, and where it has an edge."""

from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Any

import numpy as np

from app.figures.numbers import minus, short
from app.figures.palette import Palette, Stops
from app.figures.scales import Ticks, decades, log, round_up
from app.words import N_, _
from engine.sweeps.measures import MEASURES

DEEP = 12  # decades of a colour scale, at most, from the highest value down
SHARES = ([0.0, 0.5, 1.0], ["0", "½", "1"])
SMALLEST = 1e-3  # half of a signed scale, at least
BETTER = N_("better"), N_("worse")
SEEDS = N_("no seed"), N_("all seeds")


@dataclass(frozen=True)
class Look:
    """`scale`: "signed" (centred on 0), "ratio" (its logarithm is), "log" or "share" (0 to 1). `edge`: the value that
    parts two regions, drawn as a line; `said`: the sentence about where it lies. `passes`: what measuring it once
    costs, in forward and backward passes. `validation`: it is of data that were not trained on."""

    question: str
    scale: str
    edge: float | None = None
    said: str = ""
    named: str = ""  # the edge, in the picture
    sides: str = ""  # what is on either side of it
    ends: tuple[str, str] = ("", "")  # what the least and the greatest value of the scale mean, in a word
    loss: bool = False
    passes: float = 3.0
    validation: bool = False
    gone: float | None = None  # the value that says that the gradient is exactly 0 before it arrives


LOOKS: dict[str, Look] = {
    "decades_per_step": Look(
        N_("Where does the gradient keep its length?"), "signed", 0.0,
        N_("The gradient keeps its length at {place}."), N_("keeps its length"),
        N_("Below 0 it vanishes on the way back, above 0 it explodes."), (N_("vanishes"), N_("explodes")), gone=-inf,
    ),
    "half_life": Look(
        N_("How many steps back does the gradient reach?"), "log", ends=(N_("short"), N_("long")), gone=0.0,
    ),
    "lyapunov": Look(
        N_("Where does the network become chaotic?"), "signed", 0.0, N_("Order ends and chaos begins at {place}."),
        N_("chaos begins"), N_("Below 0 is order, above 0 is chaos."),
        (N_("order"), N_("chaos")), passes=60,
    ),
    "chi": Look(
        N_("Where does theory see the edge of chaos?"), "ratio", 1.0, N_("χ is 1 at {place}."), N_("χ = 1"),
        N_("Below 1 the gradient vanishes on the way back, above 1 it explodes."), (N_("vanishes"), N_("explodes")),
        passes=1,
    ),
    "grad_norm": Look(N_("How large is the gradient?"), "log", ends=(N_("small"), N_("large"))),
    "clipped_share": Look(N_("How often is the gradient clipped?"), "share", ends=(N_("never"), N_("always"))),
    "train_loss": Look(N_("How far does the training loss come down?"), "log", ends=BETTER, loss=True),
    "val_loss": Look(
        N_("Where does training work at all?"), "log", named=N_("0.8 × guessing"), ends=BETTER, loss=True,
        validation=True,
    ),
    "beats_baseline": Look(
        N_("Where does training work at all?"), "share", 0.5, N_("Half of the seeds beat guessing at {place}."),
        N_("half of them"), ends=SEEDS,
    ),
    "steps_to_baseline": Look(N_("How soon is it better than guessing?"), "log", ends=(N_("soon"), N_("late"))),
    "diverged": Look(
        N_("Where does training diverge?"), "share", 0.5, N_("Half of the seeds diverge at {place}."),
        N_("half of them"), ends=SEEDS,
    ),
}  # fmt: skip


def trains(name: str) -> bool:
    """Is it measured while a network trains?"""
    return bool(MEASURES[name].trains)


def named(name: str) -> str:
    """A measure with its unit."""
    row: Any = MEASURES[name]
    return _("{name} ({unit})").format(name=_(row.label), unit=_(row.unit)) if row.unit else _(row.label)


def drawn(look: Look, values: np.ndarray) -> np.ndarray:
    """The values as colours and heights take them, float32: a gap where there is none; what is endless stays so, and
    0 is, on a scale of logarithms."""
    if look.scale in ("log", "ratio"):
        found = np.where(np.isposinf(values), np.float32(np.inf), log(values))
        return np.where(values == 0, np.float32(-np.inf), found)
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


def span(look: Look, z: np.ndarray, also: float | None = None, most: float | None = None) -> tuple[float, float]:
    """Between which drawn values the scale runs; `also` lies in it, and it ends at `most` at the latest."""
    seen = z[np.isfinite(z)]
    seen = seen if also is None else np.append(seen, also)
    if look.scale == "share":
        return 0.0, 1.0
    if look.scale in ("signed", "ratio"):
        most = round_up(max(float(np.abs(seen).max(initial=0.0)), SMALLEST))
        return -most, most
    if not seen.size:
        return -1.0, 0.0
    low, high = float(seen.min()), float(seen.max())
    low, high = (floor(low), ceil(high)) if high - low > 1.5 else (floor(10 * low) / 10, ceil(10 * high) / 10)
    high = high if most is None else max(min(high, most), low + 0.1)
    return max(low, high - DEEP), high if high > low else low + 0.1


def ticks(look: Look, low: float, high: float) -> Ticks:
    """Of the scale, as values are read."""
    if look.scale == "share":
        return SHARES
    if look.scale == "signed":
        at = [low, low / 2, 0.0, high / 2, high]
        return at, [minus(f"{v:+.3g}") if v else "0" for v in at]
    if high - low >= 2:
        return decades(low, high, 5)
    if high - low < 0.8:
        step = round_up((10**high - 10**low) / 5)
        values = [n * step for n in range(ceil(10**low / step - 1e-9), floor(10**high / step + 1e-9) + 1)]
        return [float(np.log10(v)) for v in values], [short(v) for v in values]
    if look.scale == "ratio":
        at = [low, (low + high) / 2, high]
        return at, [short(10**v) for v in at]
    inside = [e + float(np.log10(n)) for e in range(floor(low), ceil(high) + 1) for n in (1, 2, 5)]
    at = [v for v in inside if low - 1e-9 <= v <= high + 1e-9]
    return at, [short(10**v) for v in at]


def stops(look: Look, p: Palette) -> Stops:
    return p.signed if look.scale in ("signed", "ratio") else p.losses if look.loss else p.magnitude


def written(look: Look, value: float) -> str:
    """A value as it is read."""
    if np.isnan(value):
        return "–"
    return minus(f"{value:+.3g}") if look.scale == "signed" and np.isfinite(value) and value else short(float(value))
