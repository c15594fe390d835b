"""What goes with a picture that is taken away: whose it is, in words and as JSON, its file's name, its quantities.

The picture itself is made in the browser (assets/stage/take.js) of the figure that it shows: nothing is kept here.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import engine
from app import link, own, settings, small
from app.figures.template import Part
from app.figures.versus import Versus
from app.snapshot import Snapshot
from app.words import N_, _, listed


class Columns(NamedTuple):
    """What the axes and the colours of a picture measure, with units: the heads of its table."""

    y: str
    value: str = ""  # of a map


NORM, LOG = "log10 ‖∂L/∂h_t‖", "log10 ‖δ‖"
COLUMNS: dict[str, Columns] = {  # by page or panel, and picture
    "flow": Columns(NORM), "task": Columns("input or answer"), "state": Columns("unit", "h"),
    "loss": Columns("log10 loss"),
    "clip": Columns("log10 ‖g‖"), "map": Columns("t", NORM),
    "credit_matrix": Columns("t of the loss", "log10 ‖∂L_t/∂h_k‖"), "credit_by_lag": Columns("log10 share"),
    "credit_by_step": Columns("log10 norm"), "spectrum_singular": Columns("log10 singular value"),
    "spectrum_product": Columns("log10 singular value"), "spectrum_powers": Columns("log10 ‖Wᵏ‖"),
    "exponents_spectrum": Columns("λ, 1/step"), "exponents_settling": Columns("λ₁, 1/step"),
    "over_training_edge": Columns("λ₁, 1/step"), "over_training_matrix": Columns("ρ or σ_max"),
    "over_training_states": Columns("h", "share"), "over_training_gate": Columns("gate", "share"),
    "over_training_constants": Columns("log10 steps"), "landscape_surface": Columns("lengths", "loss or log10 loss"),
    "landscape_off": Columns("distance"), "gates_constants": Columns("log10 steps"),
    "gates_saturation": Columns("% closed"), "floats_sizes": Columns("log10 size"), "floats_counted": Columns("%"),
    "update_scatter": Columns("log10 |Δθ|"), "update_blocks": Columns("part"), "update_relative": Columns("part"),
    "update_gradient_over": Columns("log10 ‖g‖"), "update_step_over": Columns("log10 ‖Δθ‖"),
    "clipping_plane": Columns("across g"), "clipping_lengths": Columns("log10 length"),
    "clipping_directions": Columns("cosine"), "clipping_parts": Columns("part"), "clipping_rates": Columns("log10 lr"),
    "cliff_surface": Columns("b", "E"), "cliff_plan": Columns("b", "log10 ‖∇E‖"), "cliff_norms": Columns("log10 ‖∇E‖"),
    "cliff_errors": Columns("log10 E"), "one_cobweb": Columns("next a"), "one_over_u": Columns("a*"),
    "one_over_w": Columns("a*"), "one_gradient": Columns("log10 factor"), "two_portrait": Columns("h₂", "basin"),
    "two_gradient_map": Columns("h₂", "log10 factor"), "two_gradient": Columns("log10 factor"),
    "two_eigenvalues": Columns("|λ|"), "gates_gate": Columns("gate", "share"), "gap": Columns("decades"),
    "loss_gap": Columns("decades"), "norm": Columns("log10 ‖g‖"), **{f"map{i}": Columns("t", NORM) for i in range(4)},
    "motion_unrolled": Columns("layer", "h"), "motion_states": Columns("h"), "motion_gradient": Columns(NORM),
    "motion_clipping": Columns("log10 size"), "motion_steps": Columns("size"), "floats_classes": Columns("%"),
}  # fmt: skip
NAMES = {"flow": "gradient-flow", "map": "gradient-map", "state": "hidden-states", "clip": "clipping"}
SAID = N_("{cell}, {layers} × {units} units, {init} × {gain}; {task}, T = {T}; {optimizer}, lr {lr}; seed {seed}")

SAID_OF = N_("{cell}, {layers} × {units} units, weights of {file}; {task}, T = {T}; {optimizer}, lr {lr}; seed {seed}")


def source_of(e: engine.Experiment, step: int, file: str = "") -> Part:
    """Of a picture of an experiment at this training step; `file`: whose weights it has begun with."""
    said = _(SAID_OF if file else SAID).format(
        cell=engine.CELLS[e.cell].label, layers=e.num_layers, units=e.hidden_size, init=_(engine.INITS[e.init].label),
        gain=f"{e.gain:g}", task=_(engine.TASKS[e.task].label), T=e.steps,
        optimizer=_(engine.OPTIMIZERS[e.optimizer].label), lr=f"{e.lr:g}", seed=e.seed,
        file=file,
    )  # fmt: skip
    return {
        "said": said, "step": step, "file": stem(e), "experiment": e.model_dump_json(),
        "link": urlencode(link.write(e)),
    }  # fmt: skip


def source_of_runs(v: Versus) -> Part:
    """Of a picture that compares runs which differ in one setting."""
    base = source_of(v.runs[0].experiment, v.step)
    knob = f"{v.field}:{','.join(settings.write(value) for value in v.values[1:])}"
    return base | {
        "said": base["said"] + " · " + listed(v.full_names),
        "file": "compare_" + base["file"],
        "experiment": json.dumps([run.experiment.model_dump() for run in v.runs]),
        "link": urlencode({**link.write(v.runs[0].experiment), "versus": knob}),
    }


def source_of_shown(snapshot: Any) -> Part | None:
    """Of what a run shows: a run, or several side by side; None for anything else."""
    if isinstance(snapshot, Versus):
        return source_of_runs(snapshot)
    return (
        source_of(snapshot.experiment, snapshot.drawn, snapshot.weights_of) if isinstance(snapshot, Snapshot) else None
    )


def source_of_world(part: str, values: Mapping[str, Any]) -> Part:
    """Of a picture of a small world, with the values of this part's fields."""
    said = listed(f"{name.removeprefix(part + '_')} {value}" for name, value in values.items())
    query = urlencode(small.write({**small.DEFAULTS, **values, "part": part}))
    return {
        "said": said, "step": None, "file": f"small-world-{part}", "experiment": json.dumps({"part": part, **values}),
        "link": query,
    }  # fmt: skip


def stem(e: engine.Experiment) -> str:
    """The experiment in a file's name."""
    return f"{e.cell}_{own.file_name(e)}_T{e.steps}"


def signed(name: str, figure: Part, source: Part | None) -> Part:
    """The figure, and in its meta what goes with it when it is taken away; without a source: as it is."""
    if source is None:
        return figure
    columns = COLUMNS.get(name) or COLUMNS.get(name.rpartition("_")[0]) or Columns("")
    figure["layout"]["meta"]["source"] = source | {
        "picture": NAMES.get(name, name.replace("_", "-")),
        **columns._asdict(),
    }
    return figure
