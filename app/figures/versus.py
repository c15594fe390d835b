"""Runs beside each other, always at the same training step: what their pictures share. The first run is the base.

A colour and a dash stand for one run in all of these pictures, whatever is drawn: the base is ink and solid. Only what
is none of the runs' keeps its meaning: the line of guessing, the threshold, and the map of magnitudes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

import engine
from app.figures.numbers import minus
from app.figures.palette import Palette
from app.figures.scales import counts, plain
from app.figures.template import Part, axis, label, line, upright
from app.figures.training import told
from app.snapshot import Snapshot, axis_end
from app.words import _

DASHES = ("solid", "9px,4px", "2px,3px", "11px,3px,2px,3px")
WIDTHS = (3.5, 3.0, 3.5, 3.0)


@dataclass(frozen=True, eq=False)
class Versus:
    """Snapshots of runs whose experiments differ in one field, each with its value of it."""

    field: str
    values: tuple[Any, ...]
    runs: tuple[Snapshot, ...]
    written: Callable[[str, Any], str]  # how a value of the field is written in the reader's language
    same_start: bool = False  # have all the same weights at step 0

    @property
    def names(self) -> list[str]:
        """What tells the runs apart, as short as a direct label: "LSTM"."""
        return [self.written(self.field, value) for value in self.values]

    @property
    def full_names(self) -> list[str]:
        """The same with the field: "Cell LSTM"."""
        said = _("{field} {value}")
        return [said.format(field=title(self.field), value=name) for name in self.names]

    @property
    def step(self) -> int:
        """The step that is shown: that of the runs that have not ended before."""
        return max(run.step for run in self.runs)

    @property
    def end(self) -> int:
        return axis_end(max(run.reached for run in self.runs))

    @property
    def relative(self) -> bool:
        """Are the losses of different kinds, so that only their shares of the loss of guessing can be compared?"""
        return len({(run.experiment.loss_name, run.baseline) for run in self.runs}) > 1

    @property
    def aligned(self) -> bool:
        """Have all sequences the same length? Otherwise they are laid on each other at their ends, at the loss."""
        return len({run.now.shape[1] for run in self.runs}) == 1

    def flow(self, i: int) -> np.ndarray:
        """(T,) log10 ‖∂L/∂h_t‖ of the last timestep's loss, in the layer shown."""
        return self.runs[i].flow[self.runs[i].layer]

    def timesteps(self, i: int) -> np.ndarray:
        """(T,) where its timesteps stand on the axis: t, or t − T where the lengths differ."""
        steps = self.runs[i].now.shape[1]
        return np.arange(1, steps + 1, dtype=np.int32) - (0 if self.aligned else steps)


def title(field: str) -> str:
    return _(engine.Experiment.model_fields[field].title or field)


def curve(
    p: Palette, i: int, x: np.ndarray, y: np.ndarray, hover: str, width: float | None = None, **more: Any
) -> Part:
    """A line of run `i`; `hover`: its line in the box that shows all values at one place."""
    dash = {} if DASHES[i] == "solid" or len(x) == 1 else {"dash": DASHES[i]}
    said = {"hoverinfo": "all", "hovertemplate": hover + "<extra></extra>"}
    return line(x, y, p.runs[i], WIDTHS[i] if width is None else width, **(dash | said | more))


def named(v: Versus, p: Palette, i: int, traces: Sequence[int], place: str, **more: Any) -> Part:
    return label(f"run{i}", f"<b>{v.names[i]}</b>", p.runs[i], list(traces), place, **more)


def of(name: str, value: str) -> str:
    """A value of one run. More than a space stands between the two: a name may be a number."""
    return _("{name}: {value}").format(name=name, value=value)


def along_sequence(v: Versus, p: Palette) -> Part:
    longest = max(run.now.shape[1] for run in v.runs)
    first, last = (1, longest) if v.aligned else (1 - longest, 0)
    return over(axis(p, (first - 0.5, last + 0.5), plain(counts(first, last, 5))), at_t(v.aligned))


def at_t(aligned: bool) -> str:
    return "t = %{x}" if aligned else "t − T = %{x}"


def over(x: Part, title: str) -> Part:
    """The axis, with the head of the box that shows all values at one place."""
    return x | {"unifiedhovertitle": {"text": title}}


def along_training(v: Versus, p: Palette) -> Part:
    return over(axis(p, (0, v.end), plain(counts(0, v.end, 5))), _("step {n}").format(n="%{x}"))


def over_training(v: Versus, p: Palette) -> list[Part]:
    """The cursor, and a thin line where settings were changed while the runs trained."""
    steps = sorted({step for run in v.runs for step in told(run)})
    return [upright(v.step, p.soft), *(upright(step, p.ink, dash="3px,3px") for step in steps)]


def power(decades: float) -> str:
    """Decades as they are written in hover boxes."""
    return f"10<sup>{minus(f'{decades:.2f}')}</sup>" if isfinite(decades) else "0"


def sides(v: Versus) -> list[int]:
    """The runs that have not been lost at the step shown."""
    return [i for i, run in enumerate(v.runs) if not run.lost]
