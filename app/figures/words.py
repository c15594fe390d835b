"""The verdict over the pictures, and the words of the player."""

import html
from math import isfinite, isnan
from typing import Any

import engine
from app.figures.loss import LEARNS, NEAR, not_yet, validation_at
from app.figures.maps_measures import LOOKS, written
from app.figures.numbers import power, short, times
from app.figures.parts import tensor as named
from app.figures.run import stopped
from app.snapshot import Snapshot
from app.thrown import Thrown, follows_gradient
from app.words import _, sentences
from engine import TASKS
from engine.own.noise import Noise
from engine.sweeps.measures import ENOUGH, LAYER

LEVEL = 0.1  # decades over the whole sequence: less is called no change


def _learns(s: Snapshot) -> bool:
    measured = validation_at(s)
    return measured is not None and measured[1] / s.baseline < LEARNS


def _learning(s: Snapshot, reaches: str) -> str:
    """Both halves in one sentence: what reaches the start, and what the validation loss says."""
    measured = validation_at(s)
    if s.drawn == 0 and s.weights_of:
        return _("{reaches}, with the weights of {file}.").format(reaches=reaches, file=html.escape(s.weights_of))
    if s.drawn == 0 or measured is None:
        return _("{reaches}; not trained yet.").format(reaches=reaches)
    share = measured[1] / s.baseline
    if _learns(s) and (ahead := not_yet(s)):
        text = _("{reaches}; it beats {baseline}, not yet {better} ({loss}).")
        names = {"baseline": _(s.baseline_label), "better": _(ahead[0])}
        return text.format(reaches=reaches, loss=short(ahead[1]), **names)
    if _learns(s):
        return _("{reaches}; it learns.").format(reaches=reaches)
    if share <= NEAR:
        return _("{reaches}; loss still on the baseline.").format(reaches=reaches)
    return _("{reaches}; loss still above the baseline.").format(reaches=reaches)


def on_noise(e: engine.Experiment) -> bool:
    """Is the task noise that stands in for data of one's own?"""
    return isinstance(e.task, engine.OwnTask) and isinstance(e.task.data, Noise)


def verdict(s: Snapshot) -> dict[str, Any]:
    """kind, badge, and html: what (both halves: what reaches the start, and whether it learns), why, and the rule.

    `ways`, where there are some: what can be done about it, as player.js names it.
    """
    said = _verdict(s)
    if on_noise(s.experiment):
        said["what"] = sentences(_("On noise, not your data."), said["what"])
    return said


def _verdict(s: Snapshot) -> dict[str, Any]:
    if s.lost:
        return {"kind": "diverged", "badge": _("Diverged"), "rule": _rule()} | _lost(s)
    if s.thrown and s.drawn > s.thrown.step and not _learns(s):
        return {"kind": "thrown", "badge": _("Lost"), "rule": _rule()} | _thrown(s, s.thrown)
    v = engine.verdict(s.flow[s.layer])
    steps = s.now.shape[1]
    subject = _("the last loss's gradient") if TASKS[s.experiment.task].every_step else _("the gradient")
    if v.kind == "vanishing" and v.zero_before:
        text = _("Before t = {t} {subject} is exactly 0")
        if s.experiment.tbptt is not None:
            text = _("Truncation cuts {subject} off before t = {t}")
        reaches = text.format(subject=subject, t=v.zero_before)
    elif v.kind in ("vanishing", "healthy", "exploding"):
        text = _("From t = {n} to 1 {subject} changes by a factor {ratio}")
        ends = _measured(s)
        reaches = text.format(subject=subject, ratio=times(v.span if ends is None else ends), n=steps)
    elif v.kind == "none":
        reaches = _("No gradient reaches any step")
    else:
        reaches = _("The gradient is not a number")
    badges = {
        "vanishing": _("Vanishing"),
        "healthy": _("Healthy"),
        "exploding": _("Exploding"),
        "none": _("No gradient"),
        "diverged": _("Diverged"),
    }
    more = (_clipped(s) if v.kind == "exploding" else "") or _fitted(s, v)  # of both there is no room in one line
    what, why = _learning(s, reaches), stopped(s) or _ahead(s) or sentences(_pace(v), more)
    rule = sentences(_slope(s, v), _rule())
    said = {"kind": v.kind, "badge": badges[v.kind], "what": what, "why": why, "rule": rule}
    return said | ({"ways": ["clip"]} if _ahead(s) and _free(s) else {})


def _ahead(s: Snapshot) -> str:
    """Where the update that follows will throw the weights away."""
    if s.drawn != s.reached or not s.reach > 1:
        return ""
    return _("The next update will be {ratio} times as long as the weights themselves.").format(ratio=short(s.reach, 2))


def _free(s: Snapshot) -> bool:
    """Does nothing limit the length of an update?"""
    return s.experiment.clip == "none" and follows_gradient(s.experiment)


def _pace(v: "engine.Verdict") -> str:
    if not isfinite(v.decades_per_step) or v.zero_before or v.kind in ("none", "diverged"):
        return ""
    factor, steps = short(v.factor), short(v.half_life, 2)
    if not isfinite(v.half_life) or abs(v.span) < LEVEL or factor == "1":
        return _("Each step back leaves its size almost as it is.")
    if v.decades_per_step < 0:
        return _("Each step back multiplies it by {factor}: half-life {n} steps.").format(factor=factor, n=steps)
    return _("Each step back multiplies it by {factor}: it doubles every {n} steps.").format(factor=factor, n=steps)


def _clipped(s: Snapshot) -> str:
    """What clipping makes of the gradient at the step drawn; "": nothing shorter."""
    norm, used = float(s.grad_norm[s.drawn]), float(s.clipped[s.drawn])
    if not used < norm * (1 - ENOUGH):
        return ""
    return _("‖g‖ is clipped from {norm} to {used}.").format(norm=short(norm), used=short(used))


def _slope(s: Snapshot, v: "engine.Verdict") -> str:
    """The pace as Maps measures it, in the same words; "": there is none."""
    if isnan(v.decades_per_step):
        return ""
    slope = written(LOOKS["decades_per_step"], v.decades_per_step)
    if s.layer == LAYER:
        return _("Gradient's slope: {slope} decades per step back.").format(slope=slope)
    text = _("Gradient's slope in layer {n}: {slope} decades per step back. (Maps show that of layer {lowest}.)")
    return text.format(n=s.layer + 1, slope=slope, lowest=LAYER + 1)


def _measured(s: Snapshot) -> float | None:
    """Decades gained from the last step to the first, as the curve shows them; None: not both ends are numbers."""
    curve = s.flow[s.layer]
    return float(curve[0] - curve[-1]) if isfinite(curve[0]) and isfinite(curve[-1]) else None


def _fitted(s: Snapshot, v: "engine.Verdict") -> str:
    """What the fitted pace would make of the whole sequence, where that is not what is measured."""
    ends = _measured(s)
    if ends is None or times(ends) == times(v.span):
        return ""
    return _("Over all steps that pace makes {ratio}.").format(ratio=times(v.span))


def _lost(s: Snapshot) -> dict[str, str]:
    step, tensor = s.diverged or (s.step, "")
    what = _("The loss is not a number since step {n}: the weights are lost.").format(n=step)
    norm = float(s.grad_norm[s.drawn])
    why = _("First to go: {tensor}.").format(tensor=named(tensor)) if tensor else ""
    if isfinite(norm):
        text = _("At step {n} the gradient norm was {norm} with nothing to limit it.")
        if s.experiment.clip != "none":
            text = _("At step {n} the gradient norm was {norm} before clipping.")
        why = sentences(text.format(n=s.drawn, norm=short(norm)), why)
    return {"what": what, "why": why}


def _thrown(s: Snapshot, t: Thrown) -> dict[str, Any]:
    """Which step threw the weights away and by how much, and what begins again."""
    clip = next(e.clip for start, end, e in s.settings("clip") if start <= t.step <= end)
    free = follows_gradient(s.experiment) and clip == "none"
    if free:
        what = _("Step {n} threw the weights away: ‖g‖ was {norm}, unclipped.")
    else:
        what = _("Step {n} threw the weights away: its update was {ratio} times as long as they were.")
    if free and s.experiment.clip != "none":
        why = _("Clipping holds from now on, but those weights are gone. Reset begins again with it.")
    elif free:
        why = _("The update was {ratio} times as long as the weights themselves. Reset begins again.")
    else:
        why = _("What it had learned is gone. Make the learning rate smaller; Reset begins again.")
    said = {"n": f"{t.step:,}", "norm": short(t.norm), "ratio": short(t.ratio, 2)}
    ways = ["begin", "begin_clipped"] if free and _free(s) else ["begin"]
    return {"what": what.format(**said), "why": why.format(**said), "ways": ways}


def _rule() -> str:
    return _(
        "Rule: the pace is that of a robust line through log ‖∂L/∂h<sub>t</sub>‖ (median of the slopes over half the "
        "sequence), of the loss at the last timestep. Healthy is a pace that makes between {low} and {high} of the "
        "whole sequence; less vanishes, more explodes. It learns when the validation loss is below {share} times the "
        "baseline."
    ).format(low=power(-2), high=power(2), share=LEARNS)


def player_words() -> dict[str, str]:
    """Every word of the stage that is not part of a frame; {n} and the like are filled in by the browser."""
    return {
        "take": _("Take this picture away"),
        "take_png": _("PNG, for slides"),
        "take_svg": _("SVG, for print"),
        "take_html": _("HTML, to zoom and point"),
        "take_csv": _("CSV, its data"),
        "take_step": _("step {n}"),
        "take_failed": _("That did not work. Try again."),
        "player": _("Player"),
        "play": _("Play"),
        "pause": _("Pause"),
        "step": _("Step"),
        "step_long": _("One training step (→)"),
        "reset": _("Reset"),
        "reset_long": _("Back to step 0 with the same weights (R)"),
        "new_seed": _("New seed"),
        "new_seed_long": _("Other weights and data (N)"),
        "play_long": _("Play or pause (space)"),
        "play_over": _("A stop rule has ended this run. Change the rule and it can go on; Reset begins again."),
        "speed": _("Speed"),
        "speed_4": _("4/s"),
        "speed_20": _("20/s"),
        "speed_max": _("max"),
        "layer": _("Layer"),
        "layer_n": _("Layer {n}"),
        "radii": _("Recurrent weights"),
        "scrubber": _("Training step shown"),
        "at_step": _("step {n}"),
        "of_reached": _("step {n} of {reached}"),
        "back_to": _("Back to step {n}"),
        "clip": _("Clip at 1"),
        "begin": _("Reset"),
        "begin_clipped": _("Clip at 1 and reset"),
        "whole": _("Whole picture"),
        "step_back": _("Step back"),
        "replay_scrubber": _("Step shown"),
        "of_steps": _("step {n} of {steps}"),
        "no_solid": _("No 3-D here (WebGL). The map beside it shows the same."),
        "hide": _("Hide or show {name}"),
        "connecting": _("Connecting"),
        "connecting_what": _("Getting the pictures ready."),
        "connecting_why": _("The browser loads Plotly and asks the server for the first picture."),
        "compiling": _("Compiling"),
        "compiling_what": _("The engine is being compiled for this network."),
        "compiling_why": _("This happens once for each kind of network; the first picture follows by itself."),
        "error": _("Stopped"),
        "error_what": _("The run stopped with an error."),
        "error_why": _("Change a control or press Reset to start it again. The pictures show what came last."),
        "offline": _("Offline"),
        "offline_what": _("Connection lost, trying again."),
        "offline_why": _("The pictures show step {n}, the last that arrived. The run waits."),
        "try_now": _("Try now"),
        "ended": _("Ended"),
        "ended_what": _("This session has ended."),
        "ended_why": _("The server no longer has this run. The settings are in the address: reload to start it again."),
        "reload": _("Reload"),
        "still": _("Still"),
        "still_what": _("Live play isn't possible here."),
        "still_why": _(
            "The connection that carries it (a WebSocket) does not open. The pictures still follow every control."
        ),
        "broken": _("Stopped"),
        "broken_what": _("The pictures cannot be drawn."),
        "broken_why": _("Plotly did not load. Reload the page to try again."),
    }
