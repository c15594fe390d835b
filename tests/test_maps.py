"""Maps: what the address says, what a shared server allows, the cells, their pictures and sentences, the work."""

import threading
import time
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from app import link, maps, settings
from app.compiler import Compiler
from app.figures.maps import picture
from app.figures.maps_cells import Cells, Side
from app.figures.maps_measures import LOOKS, span, ticks, trains
from app.figures.maps_words import answer, heard, of_cell
from app.figures.palette import palette
from app.figures.template import standalone
from app.frames import Encoder, decode
from app.limits import LIMITS
from app.mapping import Known, Map, plan_of
from app.maps import Axis, Choice
from app.maps_code import python, shell
from app.maps_ready import MAPS, matching
from app.pool import Pool
from app.views.maps import cells_of
from app.views.maps_picture import cell, opened
from app.views.maps_take import csv, netcdf
from engine.sweeps import MEASURES, measure

SMALL = {"hidden_size": 4, "batch_size": 2, "seq_length": 8}
GAINS, LENGTHS = Axis("gain", 0.5, 1.5, 5), Axis("seq_length", 8, 32, 3, True)


def values(**fields: Any) -> dict[str, Any]:
    return {**settings.DEFAULTS, **SMALL, **fields}


# --- the address


def test_every_measure_of_the_engine_has_a_look_and_no_other():
    assert set(LOOKS) == set(MEASURES)


def test_every_knob_has_values_that_it_accepts():
    for field in maps.KNOBS:
        axis = maps.check(maps.suggest(field))
        assert all(settings.accepts(field, value) for value in axis.values), field
        assert len(axis.values) > 1, field


AXES = st.sampled_from([maps.suggest(field) for field in maps.KNOBS]) | st.builds(
    Axis, st.just("gain"), st.floats(0, 1), st.floats(1.1, 3), st.integers(2, maps.MOST)
)


@given(AXES, st.none() | AXES, st.sampled_from(list(LOOKS)), st.integers(1, 10), st.integers(1, 1000))
def test_the_address_says_all_of_a_choice(across, up, name, seeds, steps):
    if up is not None and up.field == across.field:
        up = None
    choice = Choice(across, up, name, seeds, 0, steps)
    assert maps.read(maps.write(choice), values()) == (choice, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"across": "gian:0:1:3"}, "nearest is gain"),
        ({"across": "gain:0:1"}, "from, to and how many"),
        ({"across": "gain:0:1:1"}, "from 2 to 65"),
        ({"across": "gain:0:1:999"}, "from 2 to 65"),
        ({"across": "gain:1:0:5"}, "above its beginning"),
        ({"across": "gain:0:1:5:log"}, "above 0"),
        ({"across": "gain:0:nan:5"}, "from 0 to 10"),
        ({"across": "gain:0:1e9:5"}, "from 0 to 10"),
        ({"across": "gain:__import__('os'):1:5"}, "from 0 to 10"),
        ({"across": "cell:rnn,rnn"}, "each once"),
        ({"across": "cell:rnn,<b>"}, "each once"),
        ({"across": "seed:0:5:3"}, "does not exist"),
        ({"across": "gain:0:1:3", "up": "gain:0:1:3"}, "both axes"),
        ({"measure": "luck"}, "does not exist"),
        ({"samples": "many"}, "1 to 10 seeds"),
        ({"samples": "99folds"}, "1 to 10 seeds"),
        ({"train": "1e9"}, "training steps"),
        ({"measure": "val_loss", "train": "0"}, "200 steps are made"),
        ({"samples": "5folds"}, "for the validation loss"),
    ],
)
def test_nonsense_is_said_and_something_is_shown(words, said):
    choice, complaints = maps.read(words, values())
    assert any(said in sentence for sentence in complaints), complaints
    again, none = maps.read(maps.write(choice), values())
    assert (again, none) == (choice, [])
    assert maps.refusal(choice, values()) == ""


def test_without_a_word_it_shows_something_of_the_network_at_once():
    for cell_name in engine.CELLS:
        now = values(cell=cell_name)
        choice, complaints = maps.read(dict.fromkeys(maps.WORDS, ""), now)
        assert not complaints
        assert maps.refusal(choice, now) == ""
        assert maps.work(choice, settings.DEFAULTS | {"cell": cell_name}) < 20


def test_values_have_few_digits_and_are_told_apart():
    assert Axis("lr", 0.01, 1.0, 5, True).values == (0.01, 0.0316, 0.1, 0.316, 1.0)
    assert Axis("hidden_size", 2, 5, 9).values == (2, 3, 4, 5)
    assert len(Axis("gain", 1.0, 1.001, 33).values) == 33


# --- what is allowed


def test_what_does_not_count_is_not_mapped():
    choice = Choice(Axis("forget_bias", -1, 3, 3), None, "decades_per_step")
    assert "does not count" in maps.refusal(choice, values(cell="rnn"))
    assert maps.refusal(choice, values(cell="lstm")) == ""
    beside = Choice(choice.across, Axis("cell", names=("rnn", "lstm")), "decades_per_step")
    assert maps.refusal(beside, values(cell="rnn")) == ""


def test_a_shared_server_is_not_asked_for_too_much():
    many = Choice(Axis("gain", 0, 2, 65), Axis("hidden_size", 2, 66, 65), "decades_per_step", seeds=10)
    assert f"{LIMITS.map_points:,}" in maps.refusal(many, values())
    large = Choice(Axis("hidden_size", 2, 256, 3), Axis("seq_length", 10, 2000, 3), "decades_per_step")
    assert "more than the" in maps.refusal(large, values(batch_size=256))
    long = Choice(Axis("gain", 0, 2, 33), Axis("hidden_size", 32, 256, 33), "val_loss", steps=10_000)
    assert f"{LIMITS.map_seconds:,}" in maps.refusal(long, settings.DEFAULTS)
    folds = Choice(Axis("hidden_size", 2, 8, 3), None, "val_loss", folds=5, steps=10)
    assert "training set" in maps.refusal(folds, values())


def test_folds_are_refused_where_they_would_share_what_they_are_judged_by():
    folds = Choice(Axis("hidden_size", 2, 8, 3), None, "val_loss", folds=5, steps=10)
    assert "windows that overlap" in maps.refusal(folds, values(task="text", train_size=50))
    assert "fewer different" in maps.refusal(folds, values(task="parity", seq_length=2, train_size=50))
    assert maps.refusal(folds, values(task="parity", seq_length=3, train_size=50)) == ""
    tasks = Choice(Axis("task", names=("text", "sine")), None, "val_loss", folds=5, steps=10)
    assert maps.refusal(tasks, values(train_size=50)) == ""


# --- the cells


def cells(shape: tuple[int, int, int] = (5, 3, 1), name: str = "decades_per_step", **more: Any) -> Cells:
    """All of them done: gain − 1 as the value, wherever it is asked for."""
    across = Side("gain", GAINS.values, False, tuple(map(str, GAINS.values)))
    up = Side("seq_length", LENGTHS.values, True, tuple(map(str, LENGTHS.values)))
    found = np.broadcast_to((np.array(GAINS.values) - 1.1)[:, None, None], shape).copy()
    base = {
        "values": found, "diverged": np.zeros(shape, bool), "done": np.ones(shape, bool),
        "errors": np.full(shape[:2], "", object),
    }  # fmt: skip
    return Cells(engine.Experiment(**SMALL), across, up, name, 0, False, **(base | more))


def test_a_coarse_cell_stands_for_those_that_are_not_known():
    done = np.zeros((5, 3, 1), bool)
    c = cells(done=done)
    assert (c.shown() == -1).all()
    assert c.level == -1
    done[0, 0] = True
    assert (cells(done=done).shown() >= 0).sum() == 2  # its own cell, and half of the way to the next coarse one
    done[[0, 2, 4]] = True
    coarse = cells(done=done)
    assert coarse.level == 0
    assert (coarse.shown() >= 0).all()
    assert set(coarse.shown()[:, 0]) == {0, 6, 12}
    done[:] = True
    assert (cells().shown().ravel() == np.arange(15)).all()


def test_the_edge_is_where_the_value_passes_it():
    c = cells()
    assert [at for _up, at in c.crossings()] == pytest.approx([1.1] * 3)
    assert "keeps its length at Gain 1.1" in answer(c)
    theory = np.array([[1.2, 8.0], [np.nan, np.nan], [1.3, 32.0]])
    assert "Theory (χ = 1, dashed): Gain 1.2 to 1.3" in answer(cells(theory=theory))
    assert "Nowhere in these ranges. From −0.6" in answer(cells(values=np.broadcast_to(-0.6, (5, 3, 1)).copy()))
    apart = np.full((5, 3, 1), np.nan)
    apart[0], apart[-1] = -0.6, 0.6  # both sides, and no line between them that is known
    assert "Nowhere" not in answer(cells(values=apart))


@pytest.mark.parametrize(("name", "beyond"), [("decades_per_step", -np.inf), ("val_loss", np.nan)])
def test_the_edge_is_drawn_up_to_cells_without_a_finite_value(name, beyond):
    """A gradient that is exactly 0, and a run that was lost, lie beyond the edge as well as any number does."""
    level = 0.1 if name == "decades_per_step" else 0.01
    found = np.where(np.arange(5)[:, None, None] < 2, beyond, np.full((5, 3, 1), level))
    c = cells(name=name, values=found, diverged=np.isnan(found), baseline=0.2)
    crossed = [at for _up, at in c.crossings()]
    assert len(crossed) == 3
    assert all(0.75 < at < 1.0 for at in crossed)
    line = next(part for part in picture(c, palette("light"))["data"] if part["type"] == "contour")
    assert np.isfinite(line["z"]).all()
    lost = np.isnan(found[..., 0].T)
    assert ((line["z"] > line["contours"]["start"]) == (lost | np.greater(found[..., 0].T, c.edge))).all()


def test_the_ends_of_a_scale_are_named():
    figure = picture(cells(), palette("light"))
    assert figure["layout"]["meta"]["bar"]["ends"] == ["vanishes", "explodes"]
    c = cells()
    one = Cells(c.experiment, c.across, None, c.measure, 0, False, c.values[:, 0], c.diverged[:, 0], c.done[:, 0],
                c.errors[:, 0])  # fmt: skip
    meta = picture(one, palette("light"))["layout"]["meta"]
    assert meta["bar"] is None
    assert {"vanishes", "explodes"} <= {said["text"] for said in meta["labels"]}
    assert all(all(look.ends) for look in LOOKS.values())


def test_a_map_on_which_nothing_trains_says_what_to_try():
    untrained = cells(name="val_loss", values=np.full((5, 3, 1), 1.0), baseline=1.0)
    assert "may be too few" in answer(untrained)
    assert "may be too few" not in answer(cells(name="val_loss", values=np.full((5, 3, 1), 0.5), baseline=1.0))


def test_an_edge_that_wanders_is_no_band():
    edges = np.array([1.2, 1.05, 0.9])  # over the three lengths
    c = cells(values=(np.array(GAINS.values)[:, None] - edges)[..., None])
    wanted = "keeps its length at Gain 1.2 for Length T = 8, 1.05 for 16, 0.9 for 32."
    assert wanted in answer(c)


@pytest.mark.parametrize("name", ["decades_per_step", "lyapunov", "chi"])
def test_a_measure_with_two_sides_says_which_is_which(name):
    assert LOOKS[name].sides in answer(cells(name=name))
    assert LOOKS[name].sides.startswith(f"Below {LOOKS[name].edge:g} ")


def test_a_line_of_theory_that_ends_says_why():
    e = engine.Experiment(hidden_size=32)
    line = np.array([[1.3, 32.0]])  # 8 and 16 timesteps are too few for theory
    c = cells(theory=line)
    assert "missing" not in answer(cells(theory=np.array([[1.2, 8.0], [1.25, 16.0], [1.3, 32.0]])))
    said = answer(Cells(e, c.across, c.up, c.measure, 0, False, c.values, c.diverged, c.done, c.errors, theory=line))
    assert "The line is missing at Length T 8 to 16: not for so few timesteps." in said
    turned = Cells(e, c.up, c.across, c.measure, 0, False, c.values.transpose(1, 0, 2), c.diverged.transpose(1, 0, 2),
                   c.done.transpose(1, 0, 2), c.errors.T, theory=line[:, ::-1])  # fmt: skip
    assert "The line is missing at Length T 8 to 16: not for so few timesteps." in answer(turned)


def test_quartiles_count_a_lost_seed_as_infinitely_bad():
    found, lost = np.array([1.0, 2.0, np.nan, np.nan, 3.0]), np.array([False, False, True, True, False])
    shape = (5, 3, 5)
    c = cells(shape, "val_loss", values=np.broadcast_to(found, shape).copy(), diverged=np.broadcast_to(lost, shape),
              done=np.ones(shape, bool), errors=np.full((5, 3), "", object), baseline=10.0)  # fmt: skip
    assert c.quartiles[:, 0, 0].tolist() == [2.0, 3.0, np.inf]
    assert "half of 5 seeds from 2 to ∞" in of_cell(c, (0, 0))
    assert "diverged: 2 of 5" in of_cell(c, (0, 0))
    some = c.done.copy()
    some[..., 2:] = False
    assert cells(shape, "val_loss", values=c.values, done=some, errors=c.errors).middle[0, 0] == 1.5


@pytest.mark.parametrize(
    ("name", "dead", "said"),
    [("decades_per_step", -np.inf, "−∞: the gradient is exactly 0"), ("half_life", 0.0, "0: the gradient is exactly")],
)
def test_a_dead_gradient_is_the_worst_of_a_map(name, dead, said):
    found = np.full((5, 3, 3), 2.0)
    found[0, 0] = [dead, dead, 5.0]
    found[1, 0] = [dead, 1.5, 3.0]
    c = cells((5, 3, 3), name, values=found)
    assert not np.isnan(c.quartiles).any()
    assert said in of_cell(c, (0, 0))
    assert "exactly 0" not in of_cell(c, (1, 0))
    figure = picture(c, palette("light"))
    z, low = figure["data"][0]["z"], figure["data"][0]["zmin"]
    assert z[0, 0] == np.float32(low) < z[0, 1:].min(), "not a gap, and not as the others"
    assert c.look.question
    assert heard(c).find("−∞" if dead else "From 0 (") >= 0
    one = Cells(
        c.experiment, c.across, None, name, 0, False, found[:, 0], c.diverged[:, 0], c.done[:, 0], c.errors[:, 0]
    )
    middle = picture(one, palette("light"))
    drawn = next(part for part in middle["data"] if part.get("mode") == "lines+markers")
    assert np.isfinite(drawn["y"]).all()
    assert drawn["y"][0] == np.float32(middle["layout"]["yaxis"]["range"][0])
    choice = Choice(GAINS, LENGTHS, name, seeds=3)
    assert opened(choice, c, (0, 0), values(seed=7))["seed"] == 7, "the seed in the middle is a dead one"


def test_folds_have_a_mean_and_its_standard_error():
    shape, found = (5, 3, 4), np.array([1.0, 2.0, 3.0, 4.0])
    c = cells(shape, "val_loss", values=np.broadcast_to(found, shape).copy(), done=np.ones(shape, bool),
              errors=np.full((5, 3), "", object))  # fmt: skip
    one = Cells(c.experiment, c.across, None, "val_loss", 10, True, c.values[:, 0], c.diverged[:, 0, :1], c.done[:, 0],
                c.errors[:, 0])  # fmt: skip
    low, mean, high = one.quartiles[:, 0]
    assert mean == 2.5
    assert high - mean == mean - low == pytest.approx(found.std(ddof=1) / 2)


def test_shares_are_means_and_a_loss_has_its_line():
    shape = (5, 3, 2)
    half = np.broadcast_to(np.array([0.0, 1.0]), shape).copy()
    c = cells(shape, "beats_baseline", values=half, done=np.ones(shape, bool), errors=np.full((5, 3), "", object))
    assert (c.middle == 0.5).all()
    assert "in 15 of 15 cells" in answer(c)
    works = cells(name="val_loss", values=np.full((5, 3, 1), 0.7), baseline=1.0)
    assert works.edge == 0.8
    assert "Training works in 15 of 15 cells" in answer(works)
    assert cells(name="val_loss", values=np.full((5, 3, 1), 0.7)).edge is None


# --- the pictures


STATES: dict[str, dict[str, Any]] = {
    "nothing yet": {"done": np.zeros((5, 3, 1), bool)},
    "all": {},
    "all lost": {"values": np.full((5, 3, 1), np.nan), "diverged": np.ones((5, 3, 1), bool)},
    "endless": {"values": np.full((5, 3, 1), np.inf)},
    "zero": {"values": np.zeros((5, 3, 1))},
    "no network": {"errors": np.full((5, 3), "<b>why</b>", object), "values": np.full((5, 3, 1), np.nan)},
    "theory": {"theory": np.array([[1.0, 8.0], [1.2, 32.0]])},
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_state_of_every_measure_is_a_picture(name, state, theme):
    c = cells(name=name, baseline=0.2, **STATES[state])
    one = Cells(c.experiment, c.across, None, name, 0, False, c.values[:, 0], c.diverged[:, 0], c.done[:, 0],
                c.errors[:, 0], theory=None if c.theory is None else c.theory[:1], baseline=0.2)  # fmt: skip
    for drawn in (c, one):
        figure = picture(drawn, palette(theme))
        _head, figures = decode(Encoder().encode({}, {"map": figure}))
        assert figures["map"]["layout"]["meta"]["question"]
        go.Figure(standalone(palette(theme), figure))  # its attributes exist
        said = figure["layout"]["meta"]["cells"]["said"]
        assert (len(said), len(said[0])) == ((3, 5) if drawn is c else (1, 5))
        assert "<b>why" not in str(said)
        assert bool(heard(drawn)) == (state != "nothing yet")


def test_lost_cells_are_marked_by_more_than_a_colour():
    lost = np.zeros((5, 3, 1), bool)
    lost[4, 2] = True
    found = np.where(lost, np.nan, 1.0)
    figure = picture(cells(name="val_loss", values=found, diverged=lost, baseline=1.0), palette("light"))
    z, marks = figure["data"][0]["z"], figure["data"][1]
    assert np.isnan(z[2, 4])
    assert np.isnan(z).sum() == 1
    assert (marks["x"].tolist(), marks["marker"]["symbol"]) == ([1.5], "x-thin")
    assert "× diverged: 1 of 15 cells" in figure["layout"]["meta"]["answer"]


def test_signed_scales_are_centred_and_losses_end_where_all_is_lost():
    assert span(LOOKS["decades_per_step"], np.array([-0.3, 0.1])) == (-0.5, 0.5)
    assert span(LOOKS["val_loss"], np.array([-2.0, 9.0]), most=1.0) == (-2.0, 1.0)
    figure = picture(cells(name="val_loss", values=np.full((5, 3, 1), 1e9), baseline=0.2), palette("light"))
    assert figure["layout"]["meta"]["bar"]["ticks"][-1][1].startswith("≥")
    for low, high in ((-0.2, 0.3), (0.4, 0.6), (-3.0, 1.0)):
        at, text = ticks(LOOKS["val_loss"], low, high)
        assert len(at) == len(text) > 1
        assert all(low - 1e-6 <= v <= high + 1e-6 for v in at)


# --- the work


@pytest.fixture
def pool():
    pool = Pool(2)
    yield pool
    pool.close()


def done(choice: Choice, pool: Pool, known: Known, **fields: Any) -> Map:
    e = link.experiment(values(**fields))
    plan = plan_of(
        e, {a.field: a.values for a in choice.axes}, choice.measure, choice.seeds, choice.folds, choice.steps
    )
    found = Map(plan, pool, Compiler(), known).start()
    end = time.monotonic() + 60
    while not found.done.wait(0.5):
        found.want()
        assert time.monotonic() < end
    return found


@pytest.mark.parametrize("steps", [0, 3])
def test_a_map_measures_what_the_engine_says(pool, steps):
    choice = Choice(GAINS, LENGTHS, "grad_norm", seeds=2, steps=steps)
    found = done(choice, pool, Known())
    assert found.count.all()
    for point in found.plan.points:
        expected = measure(point.experiment, ("grad_norm",), steps)["grad_norm"]
        assert found.values["grad_norm"][(*point.index, point.seed_index)] == expected
    c = cells_of(found, choice)
    assert c.level == c.across.levels.max()
    assert c.experiment.hidden_size == 4


def test_the_next_who_asks_waits_for_nothing(pool, monkeypatch):
    known, choice = Known(), Choice(GAINS, None, "decades_per_step")
    first = done(choice, pool, known)
    monkeypatch.setattr("app.mapping.measure_in_pieces", lambda *_: pytest.fail("it was known"))
    again = done(choice, pool, known)
    assert (again.values["decades_per_step"] == first.values["decades_per_step"]).all()


def test_what_is_known_is_bounded_and_the_oldest_goes():
    known = Known(2)
    for key in "abc":
        known.put(key, {"x": 1.0})
    assert (known.get("a", ["x"]), known.get("c", ["x"]), len(known)) == (None, {"x": 1.0}, 2)
    assert known.get("c", ["x", "y"]) is None
    known.put("c", {"y": 2.0})
    assert known.get("c", ["x", "y"]) == {"x": 1.0, "y": 2.0}


def test_a_point_that_raises_loses_nothing_but_itself(pool, monkeypatch):
    def sometimes(e: engine.Experiment, names: Any, steps: int) -> Any:
        yield 0.5
        if e.gain == 1.0:
            raise RuntimeError("on purpose")
        return dict.fromkeys(names, 1.0)

    monkeypatch.setattr("app.mapping.measure_in_pieces", sometimes)
    found = done(Choice(GAINS, None, "decades_per_step"), pool, Known())
    assert found.failed == 1
    assert np.isnan(found.values["decades_per_step"]).sum() == 1


def test_a_map_is_not_over_before_its_points_are(pool):
    """Theory may end in between: when what is known is found and nothing taken, or between two points."""
    pool.close()
    e = link.experiment(values())
    found = Map(plan_of(e, {"gain": GAINS.values}, "decades_per_step", 1, 0, 0), pool, Compiler(), Known())
    found.recall()
    while not found._theory.ended:
        found._theory.work()
    assert not found.done.is_set(), "nothing was measured"
    for left in reversed(range(found.count.size)):
        point = found.take()
        found.finish()
        assert not found.done.is_set(), "a point is at work"
        found.found(point, dict.fromkeys(found.plan.measures, 1.0))
        found.finish()
        assert found.done.is_set() == (left == 0)
    assert found.count.all()


def test_a_map_that_nobody_looks_at_rests_and_a_cancelled_one_ends(pool, monkeypatch):
    monkeypatch.setattr("app.mapping.GRACE", 0.05)
    begun, go_on = threading.Event(), threading.Event()

    def slow(e: engine.Experiment, names: Any, steps: int) -> Any:
        while not go_on.is_set():
            begun.set()
            time.sleep(0.03)
            yield 0.1
        return dict.fromkeys(names, 1.0)

    monkeypatch.setattr("app.mapping.measure_in_pieces", slow)
    e = link.experiment(values())
    found = Map(plan_of(e, {"gain": GAINS.values}, "decades_per_step", 1, 0, 0), pool, Compiler(), Known()).start()
    assert begun.wait(10)
    time.sleep(0.3)
    begun.clear()
    time.sleep(0.2)
    assert not begun.is_set()  # it rests
    found.want()
    assert begun.wait(10)
    found.cancel()
    time.sleep(0.2)
    begun.clear()
    time.sleep(0.2)
    assert not begun.is_set()
    assert found.done.is_set()


# --- a cell, and what is taken away


def test_a_cell_leads_to_its_run():
    choice = Choice(GAINS, LENGTHS, "decades_per_step", seeds=3)
    assert cell({"x": 1, "y": 2}, choice) == (1, 2)
    for wrong in (None, {}, {"x": 1}, {"x": 5, "y": 0}, {"x": -1, "y": 0}, {"x": "1", "y": 0}, {"x": True, "y": 0}):
        assert cell(wrong, choice) is None
    shape = (5, 3, 3)
    found = np.broadcast_to(np.array([3.0, 1.0, 2.0]), shape).copy()
    c = cells(shape, values=found, done=np.ones(shape, bool), errors=np.full((5, 3), "", object))
    got = opened(choice, c, (1, 2), values(seed=7))
    assert (got["gain"], got["seq_length"], got["seed"]) == (0.75, 32, 9)  # the third seed has the median
    assert of_cell(c, (1, 2)).endswith("<br>opens seed 2, whose value is nearest")
    lost = np.broadcast_to(np.array([False, True, True]), shape)
    c = cells(shape, values=found, diverged=lost, done=np.ones(shape, bool), errors=c.errors)
    assert opened(choice, c, (1, 2), values(seed=7))["seed"] == 8
    assert of_cell(c, (1, 2)).endswith("opens seed 1, the first that diverged")


def test_the_numbers_go_out_and_come_back(pool, tmp_path):
    import xarray

    choice = Choice(GAINS, LENGTHS, "decades_per_step", seeds=2)
    found = done(choice, pool, Known())
    (tmp_path / "map.nc").write_bytes(netcdf(found))
    with xarray.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as back:
        assert (back["decades_per_step"].values == found.values["decades_per_step"]).all()
        assert (back["decades_per_step_median"].values == cells_of(found, choice).middle).all()
    lines = csv(found).decode().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 1 + 5 * 3 * 2
    assert "# decades_per_step: Gradient's slope, decades per step back" in lines


@pytest.mark.parametrize("name", MAPS)
def test_the_program_makes_the_same_points(name, monkeypatch):
    row = MAPS[name]
    asked: dict[str, Any] = {}

    def sweep(base: engine.Experiment, axes: Any, store: str, **more: Any) -> dict[str, float]:
        asked["plan"] = engine.plan(base, axes, **more)
        return {f"{row.choice.measure}_median": 0.0}

    monkeypatch.setattr(engine, "sweep", sweep, raising=False)
    exec(python(row.experiment, row.choice), {})
    c = row.choice
    plan = plan_of(row.experiment, {a.field: a.values for a in c.axes}, c.measure, c.seeds, c.folds, c.steps)
    mine, theirs = plan.points, asked["plan"].points
    assert [(p.index, p.seed_index) for p in mine] == [(p.index, p.seed_index) for p in theirs]
    assert all(a.experiment == b.experiment for a, b in zip(mine, theirs, strict=True))
    assert f"--steps {c.steps}" in shell(row.experiment, c)


# --- ready maps


@pytest.mark.parametrize("name", MAPS)
def test_a_ready_map_can_be_made_here_at_once(name):
    row = MAPS[name]
    assert maps.refusal(row.choice, row.controls) == ""
    assert maps.work(row.choice, row.controls) < 60
    assert maps.read(maps.write(row.choice), row.controls) == (row.choice, [])
    assert matching(row.controls, row.choice) == name
    assert link.experiment(row.controls) == row.experiment
    assert not trains(row.choice.measure) or row.choice.steps


def learns(name: str, **fields: Any) -> bool:
    """Does this cell of a ready map end well below guessing?"""
    e = MAPS[name].experiment.replace(**fields)
    loss = measure(e, ("val_loss",), MAPS[name].choice.steps)["val_loss"]
    return bool(loss < 0.8 * engine.TASKS[e.task].baseline(e))


def test_what_is_said_of_gain():
    assert all(learns("gain", gain=g, seq_length=40) for g in (1.0, 1.5))
    assert not any(learns("gain", gain=g, seq_length=40) for g in (0.4, 0.8))
    assert all(learns("gain", gain=g, seq_length=20) for g in (0.5, 0.8))


def test_what_is_said_of_gain_holds_in_every_seed():
    for seed in range(3):
        assert not learns("gain", gain=0.4, seq_length=28, seed=seed)
        assert not learns("gain", gain=0.6, seq_length=80, seed=seed)
        assert learns("gain", gain=1.0, seq_length=80, seed=seed)


def test_what_is_said_of_the_cliff():
    thrown_off = [not learns("cliff", lr=10.0, clip_threshold=1.0, seed=seed) for seed in range(6)]  # which: chaotic
    assert sum(thrown_off) >= 3
    assert all(learns("cliff", lr=10.0, clip_threshold=0.01, seed=seed) for seed in range(3))
    few = {"lr": 0.1, "clip_threshold": 0.01}, {"lr": 1.0, "clip_threshold": 0.001}
    a, b = (measure(MAPS["cliff"].experiment.replace(**f), ("val_loss",), 150)["val_loss"] for f in few)
    assert a == pytest.approx(b, rel=0.02)  # only the product counts


@pytest.mark.parametrize(("bias", "reach"), [(0.0, 10), (1.0, 20), (2.0, 113)])
def test_what_is_said_of_the_forget_bias(bias, reach):
    lengths = Axis("seq_length", 10, 160, 9, True).values
    assert learns("forget", forget_bias=bias, seq_length=reach)
    assert not learns("forget", forget_bias=bias, seq_length=lengths[lengths.index(reach) + 1])


def test_what_is_said_of_the_cells():
    assert [learns("cells", cell=name, seq_length=20) for name in ("rnn", "lstm", "gru")] == [False, True, False]
    assert not any(learns("cells", cell=name, seq_length=40) for name in ("rnn", "lstm", "gru"))


@pytest.mark.parametrize(("name", "reach"), [("rnn", 14), ("lstm", 28), ("gru", 10)])
def test_what_is_said_of_the_cells_holds_in_most_seeds(name, reach):
    lengths = MAPS["cells"].choice.up.values
    seeds = range(MAPS["cells"].choice.seeds)
    assert sum(learns("cells", cell=name, seq_length=reach, seed=seed) for seed in seeds) > len(seeds) / 2
    longer = lengths[lengths.index(reach) + 1]
    assert sum(learns("cells", cell=name, seq_length=longer, seed=seed) for seed in seeds) < len(seeds) / 2
    assert not any(learns("cells", cell=name, seq_length=40, seed=seed) for seed in seeds)


def test_what_is_said_of_weights_and_activations():
    def slope(init: str, nonlinearity: str, seed: int = 0) -> float:
        e = MAPS["init"].experiment.replace(init=init, nonlinearity=nonlinearity, seed=seed)
        return measure(e, ("decades_per_step",))["decades_per_step"]

    names = MAPS["init"].choice.across.names
    assert [init for init in names if slope(init, "sigmoid") > -0.1] == ["standard_normal"]
    assert abs(slope("identity", "relu")) < 0.01
    assert all(abs(slope(init, "relu")) > 0.05 for init in names if init != "identity")
    for seed in range(MAPS["init"].choice.seeds):
        fast = [init for init in names if slope(init, "sigmoid", seed) < -1 / 3]  # a decade within three steps
        assert fast == [init for init in names if init != "standard_normal"]
        assert abs(slope("identity", "relu", seed)) < 0.01


def test_what_is_said_of_the_hidden_size(pool):
    row = MAPS["hidden"]
    found = done(row.choice, pool, Known(), **row.controls)
    middle = cells_of(found, row.choice).middle
    sizes = row.choice.across.values
    assert sizes == (2, 4, 8, 16, 32, 64)
    assert sizes[int(middle.argmin())] == 8
    assert (np.diff(middle[2:]) > 0).all()
    assert "is at 8; 4 is within one standard error" in answer(cells_of(found, row.choice))
