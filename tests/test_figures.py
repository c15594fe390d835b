"""Every picture is a valid Plotly figure whatever the run looks like, stays cheap, and says what is true."""

import dataclasses
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

import engine
from app.figures import FIGURES, figure, palette
from app.figures.flow import cut_before
from app.figures.flow_map import columns
from app.figures.loss import gap
from app.figures.numbers import decade, power, short, times
from app.figures.palette import PALETTES
from app.figures.run import cost, radii, stopped
from app.figures.scales import counts, decades, grow, thin
from app.figures.words import player_words, verdict
from app.frames import Encoder, decode
from app.shown import MOST_CLASSES, Shown, run_free, shown_of
from app.snapshot import Snapshot, axis_end
from app.training import Training


def snapshot(steps=100, reached=137, layers=1, units=32, slope=-0.05, **more: Any) -> Snapshot:
    """A run whose gradient changes by `slope` decades with every step back."""
    rng = np.random.default_rng(0)
    fields = {name: more.pop(name) for name in set(more) & set(engine.Experiment.model_fields) - {"loss"}}
    fields = {"seq_length": steps, "hidden_size": units, "num_layers": layers} | fields
    now = np.tile(slope * np.arange(steps - 1, -1, -1.0), (layers, 1)) - 0.1 * np.arange(layers)[:, None]
    at = np.unique(np.linspace(0, reached, 200).astype(int))
    validation = np.full(reached + 1, np.nan)
    validation[::10] = 0.16
    norm = 10 ** rng.normal(0, 0.5, reached + 1)
    base = {
        "experiment": engine.Experiment(**fields),
        "step": reached, "moment": reached, "reached": reached, "layer": 0, "now": now, "flow": more.get("now", now),
        "start": now + 0.5, "marks": (1, steps),
        "hidden": rng.uniform(-1, 1, (layers, steps, units)), "loss": rng.uniform(0.1, 1, reached + 1),
        "validation": validation,
        "grad_norm": norm, "clipped": np.minimum(norm, 1), "rows": np.tile(now, (len(at), 1, 1)), "rows_at": at,
        "lr": np.full(reached + 1, 1e-3), "changes": (), "stopped": None, "examples": 32 * reached, "seconds": 0.5,
        "shown": None, "shown_span": (0.0, 2.0), "radii": (engine.Radius(0, "", 1.1, 1.7),), "radii_at": reached,
        "truncation": None, "references": (), "theory": slope, "theory_note": "", "baseline": 1 / 6,
        "baseline_label": "guessing the mean", "diverged": None,
    }  # fmt: skip
    made = Snapshot(**(base | more))
    return made if made.shown else dataclasses.replace(made, shown=shown(made.experiment))


def shown(e: engine.Experiment, free: bool = True, **changes: Any) -> Shown:
    """A sequence of the experiment's task, and an answer."""
    rng, task = np.random.default_rng(0), engine.TASKS[e.task]
    inputs, targets = task.draw(rng, e.seq_length, 1)
    outputs = rng.normal(size=(e.steps if task.every_step else 1, 1, task.output_size))
    going_on = inputs[:7, 0] if task.generates and free else np.zeros((0, inputs.shape[2]))
    trace: Any = SimpleNamespace(inputs=inputs, targets=targets, outputs=outputs)
    return dataclasses.replace(shown_of(e, trace, going_on), **changes)


def gone(s: Snapshot, step: int) -> Snapshot:
    """The same run, lost at `step`."""
    loss, norm, clipped, validation = (a.copy() for a in (s.loss, s.grad_norm, s.clipped, s.validation))
    for a in (loss, norm, clipped, validation):
        a[step:] = np.nan
    curves = {"loss": loss, "grad_norm": norm, "clipped": clipped, "validation": validation}
    return dataclasses.replace(s, **curves, diverged=(step, "hidden_l0 at t = 3"))


def zero_before(t: int) -> Snapshot:
    s = snapshot(tbptt=30)
    now = s.now.copy()
    now[:, : t - 1] = -np.inf
    return dataclasses.replace(s, now=now, flow=now, start=now, rows=np.tile(now, (len(s.rows_at), 1, 1)))


CASES = {
    "vanishing": snapshot(),
    "before training": snapshot(reached=0),
    "scrubbed back": dataclasses.replace(snapshot(), step=17, moment=17),
    "exploding": snapshot(slope=0.2, clip="none"),
    "healthy, no theory": snapshot(slope=0.0, init="orthogonal", theory=None, theory_note="not for orthogonal weights"),
    "three layers": dataclasses.replace(snapshot(layers=3), layer=2),
    "diverged": gone(snapshot(clip="none"), 60),
    "diverged at once": gone(dataclasses.replace(snapshot(reached=0)), 0),
    "nothing finite": gone(
        snapshot(
            reached=0, now=np.full((1, 100), np.nan), start=np.full((1, 100), np.nan),
            radii=(engine.Radius(0, "", np.nan, np.nan),),
            hidden=np.full((1, 100, 32), np.inf), rows=np.full((1, 1, 100), np.nan), theory=np.nan,
        ), 0,
    ),
    "exact zeros": zero_before(71),
    "all zero": zero_before(101),
    "value clipping": snapshot(clip="value", clip_threshold=0.01),
    "every step": snapshot(task="sine"),
    "relu": snapshot(nonlinearity="relu"),
    "sigmoid": snapshot(nonlinearity="sigmoid"),
    "linear": snapshot(nonlinearity="identity"),
    "two timesteps": snapshot(steps=2, units=1, batch_size=1),
    "one timestep": snapshot(steps=1, units=1, task="sine"),
    "one timestep, marked": snapshot(steps=1, units=1, task="delayed_recall"),
    "states past float32": snapshot(hidden=np.full((1, 100, 32), 1e200), nonlinearity="relu"),
    "long sequence": snapshot(steps=2000, slope=-0.7),
    "long run": snapshot(reached=100_000),
    "wide": snapshot(units=512),
    "zero loss": snapshot(loss=np.zeros(138), validation=np.zeros(138)),
    **{f"clip {name}": snapshot(clip=name, clipped=np.ones(138)) for name in engine.CLIPS},
    **{f"task {name}": snapshot(task=name, steps=50) for name in engine.TASKS},
    **{f"short {name}": snapshot(task=name, steps=max(2, row.min_length)) for name, row in engine.TASKS.items()},
    **{f"long {name}": snapshot(task=name, steps=2000, batch_size=1) for name in ("text", "sine", "copy_memory")},
    "changed": dataclasses.replace(snapshot(lr=0.01), changes=(engine.Change(40, "lr", 0.001, 0.01),)),
    "truncated": snapshot(tbptt=7, truncation=(0.93, 0.71)),
    "gap": snapshot(train_size=64, validation=np.where(np.arange(138) % 10 == 0, 5.0, np.nan)),
    "stopped": snapshot(stopped="loss", stop_loss=0.01),
    "gru": snapshot(cell="gru", theory=None, theory_note="not for gated cells"),
}  # fmt: skip


@pytest.mark.parametrize("theme", PALETTES)
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("case", CASES)
def test_every_picture_is_valid_and_bounded(case: str, name: str, theme: str) -> None:
    s = CASES[case]
    drawn = FIGURES[name](s, palette(theme))
    go.Figure(drawn)
    figure(name, s, theme)
    for trace in drawn["data"]:
        for value in trace.values():
            if isinstance(value, np.ndarray):
                assert value.size <= (251 * 400 if value.ndim == 2 else 1100)
                assert not np.isinf(value).any()
    for axis in ("xaxis", "yaxis"):
        assert np.isfinite(drawn["layout"][axis]["range"]).all()
    head, seen = decode(Encoder().encode({"verdict": verdict(s)}, {name: drawn}))
    assert seen[name]["layout"]["meta"]["question"].endswith("?")
    assert head["verdict"]["what"].endswith(".")


def test_pictures_do_not_change_the_snapshot() -> None:
    s = snapshot()
    for array in vars(s).values():
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    for draw in FIGURES.values():
        draw(s, palette("light"))


def test_the_pictures_are_cheap() -> None:
    best = np.inf
    for _ in range(10):
        s = snapshot()
        begin = time.perf_counter()
        for draw in FIGURES.values():
            draw(s, palette("light"))
        best = min(best, time.perf_counter() - begin)
    assert best < 0.02  # aimed at: 4 ms; on a machine that is not busy it takes 1


@pytest.mark.parametrize(
    ("case", "kind", "words"),
    [
        ("vanishing", "vanishing", "still on the baseline"),
        ("before training", "vanishing", "not trained yet"),
        ("exploding", "exploding", "changes by a factor"),
        ("diverged", "diverged", "since step 60"),
        ("exact zeros", "vanishing", "Truncation cuts the gradient off before t = 71"),
        ("all zero", "none", "No gradient reaches any step"),
        ("zero loss", "vanishing", "it learns"),
        ("healthy, no theory", "healthy", "a factor 1;"),
    ],
)
def test_the_verdict(case: str, kind: str, words: str) -> None:
    said = verdict(CASES[case])
    assert said["kind"] == kind
    assert words in said["what"]
    assert said.keys() == {"kind", "badge", "what", "why", "rule"}


def test_an_exploding_gradient_that_is_clipped_is_said_to_be() -> None:
    norm = np.full(138, 3e8)
    s = snapshot(slope=0.2, grad_norm=norm, clipped=np.ones(138))
    assert verdict(s)["why"].endswith("‖g‖ is clipped from 10<sup>8.5</sup> to 1.")
    assert "clipped" not in verdict(dataclasses.replace(s, clipped=norm))["why"]
    assert "clipped" not in verdict(snapshot(grad_norm=norm))["why"], "it vanishes: there is nothing to wonder at"


def test_the_slope_is_read_as_maps_write_it() -> None:
    assert verdict(snapshot(slope=0.0421))["rule"].startswith("Gradient's slope: +0.0421 decades per step back.")
    assert f"{engine.sweeps.MEASURES['decades_per_step'].label}: −∞ " in verdict(CASES["exact zeros"])["rule"]
    assert "slope in layer 3: −0.05 " in verdict(CASES["three layers"])["rule"]
    assert verdict(CASES["all zero"])["rule"].startswith("Rule:")


def test_kind_and_factor_of_the_verdict_come_from_one_fit() -> None:
    for slope in np.linspace(-0.1, 0.1, 41):
        v = engine.verdict(snapshot(slope=slope).now[0])
        assert v.span == pytest.approx(99 * v.decades_per_step)
        assert (v.kind == "healthy") == (abs(99 * np.log10(v.factor)) <= 2)


def test_a_lost_run_is_as_it_was_where_it_still_had_numbers() -> None:
    s = dataclasses.replace(CASES["diverged"], step=40, moment=40)
    assert verdict(s)["kind"] == "vanishing"
    assert not s.lost
    assert "at step 59" in FIGURES["flow"](CASES["diverged"], palette("light"))["layout"]["meta"]["answer"]


def theory_of(s: Snapshot) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The line of the theory, if there is one, and the picture's layout."""
    drawn = FIGURES["flow"](s, palette("light"))
    found = [label["traces"][0] for label in drawn["layout"]["meta"]["labels"] if label["key"] == "theory"]
    return (drawn["data"][found[0]] if found else None), drawn["layout"]


def test_theory_is_solid_where_it_applies_dashed_where_not_and_absent_where_there_is_none() -> None:
    applies, fails = CASES["before training"], dataclasses.replace(CASES["before training"], theory_note="not for 7")
    for s, dashed, said in (
        (applies, False, "theory: ×0.891 a step back, memory 4.3 steps"),
        (fails, True, "theory, dashed: not for 7"),
        (CASES["vanishing"], True, "theory, dashed: not for a trained network"),
    ):
        line, layout = theory_of(s)
        assert line is not None
        assert ("dash" in line["line"]) == dashed
        assert ("dashed" in line["hovertemplate"]) == dashed
        assert line["y"][0] - line["y"][-1] == pytest.approx(-0.05 * 99, abs=1e-5)
        assert said in layout["meta"]["answer"]
        assert "χ = 0.794;" in layout["meta"]["about"]
    line, layout = theory_of(CASES["gru"])
    assert line is None
    assert not [label for label in layout["meta"]["labels"] if label["key"] == "memory"]
    assert "<i>theory: not for gated cells</i>" in layout["meta"]["answer"]


@pytest.mark.parametrize("slope", [-5.0, -0.3, 0.0, 0.3, 5.0])
def test_theory_ends_where_it_leaves_the_picture(slope: float) -> None:
    s = dataclasses.replace(CASES["before training"], theory=slope)
    line, layout = theory_of(s)
    assert line is not None
    low, high = layout["yaxis"]["range"]
    drawn = line["y"][:-2] if abs(slope) > 1 else line["y"]  # a line has two points at least
    assert ((drawn >= low - 1e-6) & (drawn <= high + 1e-6)).all()
    assert line["x"][-1] == 100
    assert line["y"][-1] == pytest.approx(s.start[0, -1])
    assert (line["x"][0] == 1) == (abs(slope) < 0.1)


@pytest.mark.parametrize("chi", [0.3, 0.8, 0.99, 1.0, 1.2, 0.0, np.nan])
def test_memory_length_stands_on_the_axis(chi: float) -> None:
    """ξ = 1/|log χ| steps back from the loss, where the sequence is that long."""
    theory = engine.MeanField(chi, 1.0)
    s = dataclasses.replace(CASES["before training"], theory=theory.slope)
    assert s.memory_length == pytest.approx(theory.memory_length, rel=1e-12, nan_ok=True)
    _, layout = theory_of(s)
    marks = [label for label in layout["meta"]["labels"] if label["key"] == "memory"]
    lines = [shape for shape in layout["shapes"] if shape["x0"] == shape["x1"]]
    assert len(marks) == len(lines) == (chi in (0.3, 0.8, 0.99, 1.2) and theory.memory_length < 99)
    for mark, line in zip(marks, lines, strict=True):
        assert mark["at"][0] == line["x0"] == pytest.approx(100 - 1 / abs(np.log(chi)))
        assert mark["text"] == f"ξ = {short(1 / abs(np.log(chi)), 2)} steps"


def test_a_run_knows_its_theory() -> None:
    """Of its start: also where an assumption fails, and not where there is none."""
    for changes, there, note in (
        ({}, True, ""), ({"hidden_size": 8}, True, "not for so few units"),
        ({"cell": "lstm"}, False, "not for gated cells"),
    ):  # fmt: skip
        e = engine.Experiment(**changes)
        s = Training(e).snapshot(None, 0)
        assert (s.theory is not None, s.theory_fails) == (there, note)
        if there:
            assert s.theory == engine.mean_field(e).slope


def test_the_axis_of_the_flow_never_shrinks() -> None:
    """The gradient of the last loss alone, of which no past is kept, would make it breathe."""
    training = Training(
        engine.Experiment(task="markov", hidden_size=8, seq_length=30, batch_size=4, lr=0.05), lean=True
    )
    lows = []
    for step in range(1, 31):
        training.advance(step, lambda: False)
        training.record()
        s = training.snapshot(None, 0)
        lows.append((s.extremes[0], s.flow.min()))
    low, now = np.array(lows).T
    assert (np.diff(now) > 0).any(), "it comes back up"
    assert (low == np.minimum.accumulate(now)).all()


@pytest.mark.parametrize(
    ("task", "validation", "luck"),
    [("adding", 0.155, True), ("adding", 0.18, True), ("adding", 0.12, False), ("parity", 0.155, False)],
)
def test_a_loss_near_that_of_guessing_may_be_luck(task: str, validation: float, luck: bool) -> None:
    """Of 256 numbers drawn; but guessing a class costs the same whichever it is."""
    s = dataclasses.replace(snapshot(task=task), validation=np.full(138, validation))
    meta = FIGURES["loss"](s, palette("light"))["layout"]["meta"]
    assert ("may be luck" in meta["answer"]) == ("on average" in meta["about"]) == luck


def test_value_clipping_has_no_threshold_on_the_axis_of_the_norm() -> None:
    for case, lines in (("vanishing", 1), ("value clipping", 0)):
        layout = FIGURES["clip"](CASES[case], palette("light"))["layout"]
        assert sum(s["y0"] == s["y1"] for s in layout["shapes"]) == lines
    assert "each component" in layout["meta"]["answer"]


@pytest.mark.parametrize(
    ("case", "span"), [("vanishing", (-1, 1)), ("sigmoid", (0, 1)), ("relu", (0, 1)), ("gru", (-1, 1))]
)
def test_states_have_the_scale_of_their_activation(case: str, span: tuple[float, float]) -> None:
    trace = FIGURES["state"](CASES[case], palette("dark"))["data"][0]
    assert (trace["zmin"], trace["zmax"]) == span


def test_axes_hold_still_while_a_run_goes_on() -> None:
    ranges = {FIGURES["map"](snapshot(reached=n), palette("light"))["layout"]["xaxis"]["range"][1] for n in range(201)}
    assert ranges == {200}
    assert [axis_end(n) for n in (0, 200, 201, 501, 1001, 2001, 100_000)] == [200, 200, 500, 1000, 2000, 5000, 100_000]


def test_a_column_of_the_map_says_its_true_step() -> None:
    s = snapshot(reached=1000)  # 200 rows kept
    z, kept = columns(s, 4, 1)
    seen = np.isfinite(z[0])
    assert seen.sum() == 251
    assert set(kept) <= set(s.rows_at)
    assert np.abs(kept - np.arange(251) * 4).max() <= 3


def test_thinning_keeps_every_peak_and_both_ends() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=100_000)
    values[54_321], values[99_000], values[7] = 50, -50, np.nan
    kept = thin(values)
    assert len(kept) <= 1100
    assert {0, 54_321, 99_000, 99_999} <= set(kept)
    assert (np.diff(kept) >= 0).all()
    longer = thin(np.append(values, 0.0))
    assert len(np.setdiff1d(kept, longer)) <= 2  # what was kept stays kept
    assert len(thin(np.full(5000, np.nan))) > 0


def test_numbers_as_a_reader_sees_them() -> None:
    assert [short(x) for x in (0.16666, 1.0, 0.0, 12.34, 9999.0, -0.25, 123456.0, np.nan, np.inf)] == [
        "0.167", "1", "0", "12.3", "9999", "−0.25", "10<sup>5.1</sup>", "NaN", "∞",
    ]  # fmt: skip
    assert power(-13.53) == "10<sup>−13.5</sup>"
    assert power(-1398.2) == "10<sup>−1398</sup>"
    assert times(0.2) == "1.6"
    assert [decade(e) for e in (-3, -2, 0, 2, 3)] == ["10<sup>−3</sup>", "0.01", "1", "100", "10<sup>3</sup>"]
    assert counts(1, 100, 5) == [1, 20, 40, 60, 80, 100]
    assert counts(1, 2, 5) == [1, 2]
    assert decades(-1400, 2, 6)[0] == [-1000, -500, 0]
    assert [grow(x, 4) for x in (-0.1, -4.0, -4.1, 5.0)] == [-4, -4, -8, 8]


def test_every_colour_that_is_text_is_readable() -> None:
    def light(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for p in PALETTES.values():
        for name in ("ink", "soft", "gradient", "loss", "state", "threshold", "theory"):
            for paper in (p.paper, p.panel):
                a, b = sorted((light(getattr(p, name)), light(paper)))
                assert (b + 0.05) / (a + 0.05) >= 4.5, (p.name, name)


def test_the_words_of_the_player_are_words() -> None:
    assert all(isinstance(word, str) and word for word in player_words().values())


def test_where_every_step_has_a_loss_the_verdict_is_about_the_last_one() -> None:
    """The total gradient is level even in a network that forgets at once: it enters everywhere."""
    s = dataclasses.replace(snapshot(slope=0.0, task="sine"), flow=snapshot(slope=-0.1).now)
    assert verdict(s)["kind"] == "vanishing"
    assert verdict(s)["what"].startswith("From t = 100 to 1 the last loss's gradient")
    drawn = FIGURES["flow"](s, palette("light"))
    alone = next(said for said in drawn["layout"]["meta"]["labels"] if said["key"] == "last")
    np.testing.assert_allclose(drawn["data"][alone["traces"][0]]["y"], s.flow[0], rtol=1e-6)


def words(name: str, s: Snapshot) -> str:
    """The answer of a picture."""
    return FIGURES[name](s, palette("light"))["layout"]["meta"]["answer"]


def uprights(name: str, s: Snapshot) -> list[float]:
    shapes = FIGURES[name](s, palette("light"))["layout"]["shapes"]
    return [shape["x0"] for shape in shapes if shape["type"] == "line" and shape["x0"] == shape["x1"]]


@pytest.mark.parametrize("name", ["loss", "clip", "map"])
def test_a_change_is_marked_in_every_picture_over_training_and_the_newest_is_named(name: str) -> None:
    changes = (
        engine.Change(20, "clip_threshold", 2.0, 1.0),
        engine.Change(60, "lr", 0.1, 0.0003),
        engine.Change(60, "schedule", "constant", "cosine"),
    )
    s = dataclasses.replace(snapshot(lr=0.0003, schedule="cosine"), changes=changes, step=90, moment=90)
    drawn = FIGURES[name](s, palette("light"))
    assert uprights(name, s) == [90, 20, 60]
    (said,) = (note for note in drawn["layout"]["meta"]["notes"] if "→" in note["text"])
    assert said["text"] == "lr 0.1 → 0.0003, schedule constant → cosine"
    assert said["x"] == 60 / s.end
    (heads,) = (trace for trace in drawn["data"] if "text" in trace)
    assert list(heads["x"]) == [20, 60]
    assert heads["text"] == ["clip at 2 → 1", said["text"]]


def test_what_was_cut_off_is_judged_by_the_threshold_of_its_time() -> None:
    norm, reached = np.full(101, 2.0), 100
    changes = engine.Change(50, "clip_threshold", 3.0, 1.0), engine.Change(80, "clip", "norm", "none")
    s = snapshot(
        reached=reached, grad_norm=norm, clipped=np.where((np.arange(101) < 80) & (np.arange(101) >= 50), 1, norm)
    )
    s = dataclasses.replace(s, experiment=s.experiment.replace(clip="none", clip_threshold=1.0), changes=changes)
    stretches = s.settings("clip", "clip_threshold")
    assert [(a, b, e.clip, e.clip_threshold) for a, b, e in stretches] == [
        (0, 49, "norm", 3.0), (50, 79, "norm", 1.0), (80, 100, "none", 1.0),
    ]  # fmt: skip
    lines = [a for a in FIGURES["clip"](s, palette("light"))["layout"]["shapes"] if a["y0"] == a["y1"]]
    assert [(a["x0"], a["x1"]) for a in lines] == [(0, 50), (50, 80)]
    (rug,) = (t for t in FIGURES["clip"](s, palette("light"))["data"] if t["mode"] == "markers" and "text" not in t)
    assert list(rug["x"]) == list(range(50, 80))


def test_the_words_of_each_clip_say_what_it_does() -> None:
    said = {name: words("clip", CASES[f"clip {name}"]) for name in engine.CLIPS}
    assert "off" in said["none"]
    assert "shaded part" in said["norm"]
    assert "each weight matrix or bias limited to length 1" in said["param_norm"]
    assert "each component limited to ±1" in said["value"]
    assert "signs kept, sizes lost" in said["unit"]
    unit = FIGURES["clip"](CASES["clip unit"], palette("light"))
    assert not any("fill" in trace for trace in unit["data"]), (
        "nothing is cut off where the used gradient may be longer"
    )


def test_a_gap_is_named_where_it_is_more_than_noise_and_can_be_one() -> None:
    s = CASES["gap"]
    train = s.loss[40:].mean()
    assert gap(s) == pytest.approx(5 - train, rel=0.05)
    assert "a gap of <b>4" in words("loss", s)
    drawn = FIGURES["loss"](s, palette("light"))
    (area,) = (trace for trace in drawn["data"] if "fill" in trace)
    assert np.allclose(area["y"], np.log10(5), atol=1e-6)
    assert gap(dataclasses.replace(s, experiment=s.experiment.replace(train_size=None))) is None
    close = np.where(np.isnan(s.validation), np.nan, s.loss.mean() + 0.01)
    assert gap(dataclasses.replace(s, validation=close)) is None


def test_lines_to_compare_with_are_drawn_and_named() -> None:
    s = snapshot(references=(("the entropy", 2.4), ("variance", 0.5)))
    drawn = FIGURES["loss"](s, palette("light"))
    heights = {round(10 ** a["y0"], 6) for a in drawn["layout"]["shapes"] if a["y0"] == a["y1"]}
    assert heights == {2.4, 0.5, round(1 / 6, 6)}
    assert {"the entropy", "variance", "guessing the mean"} <= {a["text"] for a in drawn["layout"]["meta"]["labels"]}
    assert "variance: 0.5" in drawn["layout"]["meta"]["about"]


def test_the_learning_rate_is_said_where_a_schedule_moves_it() -> None:
    assert "lr now" not in words("loss", snapshot())
    assert "lr now 0.00032" in words("loss", dataclasses.replace(snapshot(schedule="cosine"), lr=np.full(138, 3.2e-4)))


def test_cuts_stand_where_the_engine_cuts() -> None:
    """Of a loss at the last step alone nothing flows past the last cut: there the gradient is exactly 0."""
    e = engine.Experiment(seq_length=20, hidden_size=4, batch_size=2, tbptt=6)
    s = snapshot(steps=20, tbptt=6, truncation=(0.93, 0.71), theory=None)
    assert cut_before(s) == [7, 13, 19]
    there = np.flatnonzero(np.isfinite(engine.probe(e).log10_grad_norms[0])) + 1
    assert there[0] == cut_before(s)[-1]
    assert set(uprights("flow", s)) == {6.5, 12.5, 18.5}
    assert "Cosine 0.93, length 0.71" in words("flow", s)
    assert len(uprights("flow", snapshot(steps=2000, tbptt=2, truncation=(1.0, 1.0), theory=None))) == 0


def test_cost_and_the_end_in_words() -> None:
    s = snapshot(train_size=100, examples=4200, seconds=0.314)
    assert cost(s) == "4,200 examples · 42 epochs · 0.31 s"
    assert cost(snapshot(examples=1, seconds=123.4)) == "1 example · 123 s"
    assert stopped(s) == ""
    over = dataclasses.replace(s, stopped="loss", experiment=s.experiment.replace(stop_loss=0.01))
    said = (
        "Stopped at step 137: the loss of a batch is 0.01 or less. 4,200 examples, 42 epochs, 0.31 s. "
        "To go on: Stop, in the sidebar."
    )
    assert stopped(over) == said
    assert verdict(over)["why"] == said
    for rule, part in {"steps": "that many", "patience": "not improved for 50 steps"}.items():
        e = s.experiment.replace(patience=50)
        assert part in stopped(dataclasses.replace(s, stopped=rule, experiment=e))


def test_every_gate_has_its_chip_and_1_is_in_the_middle() -> None:
    one = radii(snapshot())["chips"]
    assert [chip["gate"] for chip in one] == [""]
    assert one[0]["text"] == "ρ 1.1 σ 1.7"
    found = engine.radii("lstm", engine.probe(engine.Experiment(cell="lstm", init="keras", gain=1.0)).state_dict)
    chips = radii(snapshot(cell="lstm", radii=found))["chips"]
    assert [chip["gate"] for chip in chips] == ["i", "f", "g", "o", "all"]
    assert [chip["rho"] is None for chip in chips] == [False] * 4 + [True]
    assert all(chip["rho"] < 0.5 for chip in chips[:4]), "one orthogonal draw over all gates is none for each"
    assert chips[4]["sigma"] == 0.5
    lost = radii(snapshot(radii=(engine.Radius(0, "", np.nan, np.nan),)))["chips"][0]
    assert (lost["rho"], lost["sigma"], lost["text"]) == (None, None, "ρ NaN σ NaN")


@pytest.mark.parametrize("name", engine.TASKS)
def test_the_task_picture_shows_what_is_heard_right_and_said(name: str) -> None:
    row, s = engine.TASKS[name], CASES[f"task {name}"]
    drawn = FIGURES["task"](s, palette("light"))
    meta = drawn["layout"]["meta"]
    assert meta["answer"].startswith(row.meaning)
    assert row.source in meta["about"]
    inputs, targets = row.draw(np.random.default_rng(0), s.experiment.seq_length, 1)
    if targets.dtype.kind == "f":
        assert (
            any(np.isin(np.float32(targets.ravel()[-1]), trace["y"]) for trace in drawn["data"] if "y" in trace)
            or len(inputs[0, 0]) > 4
        )
    elif row.every_step and row.output_size <= MOST_CLASSES:
        right = next(label for label in meta["labels"] if label["key"] == "right")["traces"][0]
        shift = drawn["data"][right]["y"][::3] - targets[:, 0]
        assert len(set(shift)) == 1
    elif not row.every_step:
        assert f"{row.classes[targets[0]]}" in "".join(a["text"] for a in meta["labels"] if a["text"].endswith("✓"))
    assert ("continues" in meta["answer"] or "hearing only itself" in meta["answer"]) == row.generates


def test_a_network_that_runs_free_is_drawn_over_what_is_right() -> None:
    """The first free value is the answer to what was heard last: it stands where that answer stands."""
    e = engine.Experiment(task="sine", seq_length=40, hidden_size=4, batch_size=2)
    trainer = engine.Trainer(e)
    trace = trainer.trace()
    free = run_free(trainer, trace.inputs)
    made = shown_of(e, trace, free)
    assert made.free_from == 20
    assert len(free) == 21
    np.testing.assert_allclose(made.free[0], made.outputs[19], rtol=1e-6)
    drawn = FIGURES["task"](snapshot(steps=40, task="sine", shown=made), palette("light"))
    (dashed,) = (trace for trace in drawn["data"] if "dash" in trace.get("line", {}))
    assert (dashed["x"][0], dashed["x"][-1]) == (20, 40)


def test_running_free_and_hearing_the_series_are_judged_at_the_same_timesteps() -> None:
    s = snapshot(steps=40, task="sine")
    made = dataclasses.replace(
        s.shown, free_from=20, targets=np.zeros((40, 1)), outputs=np.where(np.arange(40) < 20, 8.0, 0.5)[:, None],
        free=np.array([[8.0]] + [[0.25]] * 20),  # the first answer is still to what was heard
    )  # fmt: skip
    answer = words("task", dataclasses.replace(s, shown=made))
    assert "from t = 21: hearing only itself, off by 0.25; hearing the series there, by 0.5." in answer


def test_a_guess_that_is_not_beaten_yet_is_named_by_the_verdict_and_the_loss() -> None:
    lines = (("any letter", 3.6), ("letter pairs", 0.15), ("best possible", 0.01))
    s = snapshot(baseline=1.0, baseline_label="letter counts", references=lines)
    assert verdict(s)["what"].endswith("; it beats letter counts, not yet letter pairs (0.15).")
    assert words("loss", s).endswith("; letter counts: 1; letter pairs: 0.15")
    better = dataclasses.replace(s, validation=np.where(np.isnan(s.validation), np.nan, 0.1))
    assert verdict(better)["what"].endswith("; it learns.")
    assert words("loss", better).endswith("; letter counts: 1")


def test_on_noise_the_verdict_says_so_first() -> None:
    s = snapshot(task=engine.noise(2, 1), batch_size=1)
    assert verdict(s)["what"].startswith("On noise, not your data. From t = ")
    assert verdict(gone(s, 60))["what"].startswith("On noise, not your data. The loss is not a number")
    assert "noise" not in verdict(snapshot())["what"]


def test_of_several_columns_the_first_is_drawn_and_the_loss_is_said_to_be_a_mean() -> None:
    rows = np.stack([np.sin(np.arange(200) / 7), np.cos(np.arange(200) / 5)], axis=1)
    two, one = (snapshot(steps=20, task=engine.series(rows[:, :n])) for n in (2, 1))
    assert "<b>1</b>, the first of 2 columns: off by" in words("task", two)
    assert "<b>1</b>: off by" in words("task", one)
    assert "mean over 2 columns" in words("loss", two)
    assert "mean over" not in words("loss", one)


@pytest.mark.parametrize(
    ("loss", "said"),
    [(0.73, "<b>27 % below</b>"), (1.004, "<b>as good as</b>"), (1.36, "<b>36 % above</b>"), (11.0, "<b>11 times</b>")],
)
def test_a_forecast_says_how_far_it_is_from_the_honest_line(loss: float, said: str) -> None:
    own = {"steps": 20, "task": engine.series(np.sin(np.arange(200) / 7)), "baseline_label": "last value again"}
    s = snapshot(**own, baseline=0.1, validation=np.full(138, 0.1 * loss))
    assert f"; {said} “last value again”" in words("loss", s)
    assert "“last value again”" not in words("loss", snapshot(**own, reached=0, validation=np.full(1, np.nan)))


def test_answers_that_are_no_numbers_are_said_to_be_none() -> None:
    for name in engine.TASKS:
        e = engine.Experiment(task=name, seq_length=50)
        made = shown(e)
        nothing = dataclasses.replace(made, outputs=np.full_like(made.outputs, np.nan), free=made.free[:0])
        assert "No finite answer." in words("task", snapshot(steps=50, task=name, shown=nothing))


def test_what_is_kept_of_a_sequence_is_bounded() -> None:
    """One of 2000 timesteps takes no more than the states of a small network."""
    for name in engine.TASKS:
        assert shown(engine.Experiment(task=name, seq_length=2000)).size < 2000 * 32 * 4
