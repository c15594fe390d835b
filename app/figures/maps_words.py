"""What a map says in numbers: the sentences over it, of each cell, and for those who hear the page."""

import numpy as np

import engine
from app.figures.maps_cells import Cells, Side
from app.figures.maps_measures import named, written
from app.figures.numbers import minus, short
from app.words import _, listed, sentences
from engine.sweeps.measures import MEASURES


def question(c: Cells) -> str:
    if c.folds:
        return _("Which {field} does cross-validation choose?").format(field=c.across.title.lower())
    return _(c.look.question)


def answer(c: Cells) -> str:
    """What the map shows so far."""
    if c.level < 0:
        return _("The first cells are being computed.")
    return sentences(*filter(None, (_finding(c), _theory(c), _lost(c))))


def _finding(c: Cells) -> str:
    if c.folds:
        return _chosen(c)
    if c.measure in ("val_loss", "beats_baseline", "diverged"):
        return sentences(_share(c), _extremes(c) if c.measure == "val_loss" else "")
    if c.edge is not None:
        crossings = c.crossings()
        middle = c.known()[-1]
        middle = middle[~np.isnan(middle)]
        aside = middle.size and c.level == c.finest and ((middle < c.edge).all() or (middle > c.edge).all())
        nowhere = _("Nowhere in these ranges.") if aside else ""
        found = _(c.look.said).format(place=_crossed(c, crossings)) if crossings else sentences(nowhere, _extremes(c))
        return sentences(found, _(c.look.sides) if c.look.sides else "")
    return _extremes(c)


def _crossed(c: Cells, crossings: list[tuple[float, float]]) -> str:
    """Where a value passes its edge: once where it is the same everywhere, else in the lowest row, one in the
    middle and the highest. (From the least to the greatest would read as a band.)"""
    found = [c.across.says(x) for _y, x in crossings]
    if c.up is None or len(set(found)) == 1:
        return minus(f"{c.across.title} {found[0]}")
    some = sorted({0, len(found) // 2, len(found) - 1})
    rows = [c.up.written[int(np.abs(c.up.at - crossings[k][0]).argmin())] for k in some]
    first = _("{field} {value} for {other} = {row}")
    said = [first.format(field=c.across.title, value=found[some[0]], other=c.up.title, row=rows[0])]
    said += [_("{value} for {row}").format(value=found[k], row=row) for k, row in zip(some[1:], rows[1:], strict=True)]
    return minus(listed(said))


def _places(side: Side, at: list[float]) -> str:
    """One place, or from which to which."""
    low, high = side.says(min(at)), side.says(max(at))
    if low == high:
        return minus(f"{side.title} {low}")
    return minus(_("{field} {low} to {high}").format(field=side.title, low=low, high=high))


def _theory(c: Cells) -> str:
    """Where theory has its edge, beside a measured one; and why its line ends before the map does."""
    at = c.theory_at[:, 0]
    at = at[np.isfinite(at)]
    if not at.size or c.edge is None or c.across.names:
        return ""
    said = _("Theory (χ = 1, dashed): {place}.").format(place=_places(c.across, at.tolist()))
    if (missing := _without_theory(c)) is None:
        return said
    field, values, why = missing
    text = _("The line is missing at {field} {values}: {why}.")
    return sentences(said, text.format(field=field, values=values, why=_(why)))


def _without_theory(c: Cells) -> tuple[str, str, str] | None:
    """The field, its first values that have no point of the line of theory, and why theory says nothing of them.
    None: the line is whole, or leaves the map. (Solved for is the gain where it is an axis, else what is across.)"""
    if c.up is None:
        return None
    other, column = (c.across, 0) if c.up.field == "gain" else (c.up, 1)
    there = c.theory_at[np.isfinite(c.theory_at).all(axis=1), column]
    reasons = ["" if np.isclose(there, at).any() else _no_theory(c, other, k) for k, at in enumerate(other.at)]
    first = next((k for k, why in enumerate(reasons) if why), None)
    if first is None:
        return None
    last = first
    while last + 1 < len(reasons) and reasons[last + 1] == reasons[first]:
        last += 1
    low, high = other.written[first], other.written[last]
    return other.title, low if first == last else _("{low} to {high}").format(low=low, high=high), reasons[first]


def _no_theory(c: Cells, side: Side, k: int) -> str:
    """Why theory says nothing of a value of a side; "": it does."""
    solved = c.up if side is c.across else c.across
    assert solved is not None
    try:
        e = c.experiment.replace(**{solved.field: solved.values[0], side.field: side.values[k]})
    except ValueError:  # there is no such network
        return ""
    return engine.mean_field(e).reason


def _share(c: Cells) -> str:
    """How many of the cells that are known lie on the good side of the edge."""
    middle, edge = c.known()[-1], c.edge
    if edge is None:
        return ""
    n = int((middle < edge).sum()) if c.measure == "val_loss" else int((middle >= edge).sum())
    said = {
        "val_loss": _("Training works in {n} of {all} cells: a loss below {edge}, 0.8 × that of guessing."),
        "beats_baseline": _("At least half of the seeds beat guessing in {n} of {all} cells."),
        "diverged": _("At least half of the seeds diverge in {n} of {all} cells."),
    }[c.measure]
    found = said.format(n=n, all=middle.size, edge=short(edge))
    if n or c.measure != "val_loss" or c.level < c.finest:
        return found
    return sentences(found, _("{n} steps may be too few: try more, or an easier task.").format(n=c.steps))


def _extremes(c: Cells) -> str:
    """The least and the greatest value, and where they are."""
    *places, middle = c.known()
    finite = np.isfinite(middle) | np.isneginf(middle)  # an exact 0 of a gradient is the least there is
    if not finite.any():
        return _("No cell has a value.")

    def where(value: float) -> str:
        index = np.argwhere(finite & (middle == value))[0]
        sides = (c.across,) if c.up is None else (c.across, c.up)
        spots = [f"{s.title} {s.written[at[k]]}" for s, at, k in zip(sides, places, index, strict=True)]
        return _("{value} ({place})").format(value=written(c.look, value), place=listed(spots))

    low, high = float(middle[finite].min()), float(middle[finite].max())
    if c.look.loss:
        return _("The least: {least}.").format(least=where(low))
    return _("From {least} to {most}.").format(least=where(low), most=where(high))


def _chosen(c: Cells) -> str:
    """The least mean over the folds, and the first value within one standard error of it."""
    middle, high = c.middle, c.quartiles[2]
    there = np.isfinite(middle) & (c.count > 0)
    if not there.any():
        return _("No value has a result yet.")
    best = int(np.where(there, middle, np.inf).argmin())
    spare = int(np.flatnonzero(there & (middle <= high[best]))[0])
    values = {
        "best": c.across.written[best], "loss": short(float(middle[best])), "spare": c.across.written[spare],
        "error": short(float(high[best] - middle[best]), 2),
    }  # fmt: skip
    if spare == best:
        return _("The least mean loss, {loss} ± {error}, is at {best}, and no earlier value comes near.").format(
            **values
        )
    said = _("The least mean loss, {loss} ± {error}, is at {best}; {spare} is within one standard error of it.")
    return said.format(**values)


def _lost(c: Cells) -> str:
    known = c.count > 0
    if not (n := int((known & c.gone).sum())):
        return ""
    return _("× diverged: {n} of {all} cells.").format(n=n, all=int(known.sum()))


def gone(c: Cells) -> np.ndarray:
    """Cells that are crossed."""
    return c.gone if c.measure != "diverged" else np.zeros(c.count.shape, bool)


def of_cell(c: Cells, index: tuple[int, ...]) -> str:
    """A cell in numbers (html), where it is known."""
    sides = (c.across,) if c.up is None else (c.across, c.up)
    place = listed(f"{s.title} {s.written[k]}" for s, k in zip(sides, index, strict=True))
    if error := str(c.errors[index]):
        return _("{place}<br>there is no such network: {why}").format(place=place, why=error.replace("<", "&lt;"))
    n, low, middle, high = int(c.count[index]), *(float(part[index]) for part in c.quartiles)
    said = [place, f"<b>{written(c.look, middle)}</b> · {named(c.measure)}"]
    if middle == c.look.gone:
        said.append(_("{value}: the gradient is exactly 0").format(value=written(c.look, middle)))
    if c.folds:
        said.append(_("± {error} standard error, {n} folds").format(error=short(high - middle, 2), n=n))
    elif n > 1 and not MEASURES[c.measure].share:
        text = _("half of {n} seeds from {low} to {high}")
        said.append(text.format(n=n, low=written(c.look, low), high=written(c.look, high)))
    elif n > 1:
        said.append(_("{n} seeds").format(n=n))
    if lost := int(c.lost[index]):
        said.append(_("diverged: {n} of {all}").format(n=lost, all=n))
    if n > 1 and not c.folds:
        text = _("opens seed {n}, whose value is nearest")
        if c.gone[index]:
            text = _("opens seed {n}, the first that diverged")
        said.append(text.format(n=c.experiment.seed + int(c.opens[index])))
    return "<br>".join(said)


def heard(c: Cells) -> str:
    """The map for those who hear the page."""
    if c.level < 0:
        return ""
    if c.up is None:
        text = _("{measure} over {across}, {n} values.")
        return text.format(measure=named(c.measure), across=c.across.label, n=len(c.across.values))
    text = _("{measure} by colour, over {across} and {up}, {n} cells. {values}")
    return text.format(
        measure=named(c.measure), across=c.across.label, up=c.up.label, n=c.count.size, values=_extremes(c)
    )
