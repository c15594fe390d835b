"""What stands around the pictures: what training has cost, why it stopped, and how large the recurrent weights are."""

from math import isfinite
from typing import Any

import engine
from app.figures.numbers import short
from app.figures.template import Part
from app.snapshot import Snapshot
from app.words import _, listed


def cost(s: Snapshot) -> str:
    """Examples, epochs and seconds of training before the step shown."""
    changed = [_("changed on the way: the link begins anew")] if s.changes else []
    return " · ".join([*_counted(s), _("{n} s").format(n=_seconds(s)), *changed])


def stopped(s: Snapshot) -> str:
    """Why the run has ended, and what it cost; "" where no stop rule has ended it."""
    if s.stopped is None:
        return ""
    e = s.experiment
    why = {
        "steps": _("that many were asked for"),
        "loss": _("the loss of a batch is {limit} or less").format(limit=short(e.stop_loss or 0.0)),
        "patience": _("validation has not improved for {n} steps").format(n=f"{e.patience or 0:,}"),
    }[s.stopped]
    text = _("Stopped at step {n}: {why}. {cost}, {seconds} s. To go on: Stop, in the sidebar.")
    return text.format(n=f"{s.step:,}", why=why, cost=listed(_counted(s)), seconds=_seconds(s))


def _counted(s: Snapshot) -> list[str]:
    """Examples, and epochs where the training set is finite."""
    found = [_("{n} examples").format(n=f"{s.examples:,}") if s.examples != 1 else _("1 example")]
    if s.experiment.train_size is not None:
        epochs = s.examples / s.experiment.train_size
        text = _("1 epoch") if epochs == 1 else _("{n} epochs")
        found.append(text.format(n=f"{epochs:,.0f}" if epochs >= 100 else short(epochs)))
    return found


def _seconds(s: Snapshot) -> str:
    return f"{s.seconds:,.0f}" if s.seconds >= 100 else f"{s.seconds:.2f}" if s.seconds < 10 else f"{s.seconds:.1f}"


def radii(s: Snapshot) -> dict[str, Any]:
    """ρ and σ_max of each gate's block of W_hh, and σ_max of all together: for small bars with a tick at 1.

    label: what they are of; rule: what they mean; chips: gate, text, title, and the ends of two bars as shares.
    """
    chips = [_chip(radius) for radius in s.radii if radius.gate or len(s.radii) == 1]
    chips += [_chip(radius) for radius in s.radii if not radius.gate and len(s.radii) > 1]
    rule = _(
        "The recurrent weights at step {n}. ρ, the largest |eigenvalue|: below 1 a linear network forgets, above 1 it "
        "explodes. σ, the largest singular value: the most that one step can stretch a vector. The tick is 1."
    )
    return {"label": "W<sub>hh</sub>", "rule": rule.format(n=f"{s.radii_at:,}"), "chips": chips}


def _chip(radius: engine.Radius) -> Part:
    rho, sigma = short(radius.rho), short(radius.sigma)
    if isfinite(radius.rho) or not isfinite(radius.sigma):
        text = f"ρ {rho} σ {sigma}"
        title = _("ρ {rho}, σ {sigma}") if not radius.gate else _("gate {gate}: ρ {rho}, σ {sigma}")
    else:
        text, title = f"σ {sigma}", _("all gates together: σ {sigma}; not square, so there is no ρ")
    return {
        "gate": radius.gate or ("" if isfinite(radius.rho) or not isfinite(radius.sigma) else _("all")),
        "text": text, "title": title.format(gate=radius.gate, rho=rho, sigma=sigma),
        "rho": _share(radius.rho), "sigma": _share(radius.sigma),
    }  # fmt: skip


def _share(x: float) -> float | None:
    """Where a value stands on a chip's bar, from 0 to infinity with 1 in the middle; None: it is not a number."""
    return round(x / (1 + x), 3) if isfinite(x) else None
