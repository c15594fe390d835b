"""Small worlds: what a link may say, every picture of every value, and the page without a browser."""

import base64
import dataclasses
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

import engine
from app import small
from app.figures import palette
from app.figures.cliff import B_SPAN, W_SPAN
from app.figures.small import SMALL, small_figure
from app.frames import Encoder, decode
from app.registry import RUNS
from app.settings import FIELDS as EXPERIMENTS
from app.small import DEFAULTS, FIELDS, PRESETS
from tests.test_app import runs_end as runs_end  # a fixture

# --- the link


@st.composite
def choices(draw: Any) -> dict[str, Any]:
    values = {}
    for name, field in FIELDS.items():
        if field.range is None:
            values[name] = draw(st.sampled_from(field.options))
        elif field.range.whole:
            values[name] = draw(st.integers(int(field.range.low), int(field.range.high)))
        else:
            values[name] = draw(st.floats(field.range.low, field.range.high))
    return values


@given(choices())
def test_what_a_link_says_is_read_again(values):
    written = small.write(values)
    assert small.read({name: [text] for name, text in written.items()}) == (values, [])
    assert set(written) == {name for name in FIELDS if values[name] != DEFAULTS[name]}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "texts", [["nonsense"], [""], ["nan"], ["inf"], ["1e999"], ["-1e9"], ["1", "2"], ["None"], ["0x10"], ["١"], ["<b>"]]
)
def test_nonsense_has_a_sentence_and_the_default(name, texts):
    values, (said,) = small.read({name: texts})
    assert values == DEFAULTS
    assert said.startswith(f"The link says {name} = ")
    assert FIELDS[name].allowed() in said


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for name in ("cliff_w", "cliff_steps", "two_phi"):
        values, said = small.read({name: [text]})
        assert FIELDS[name].accepts(values[name])
        assert len(said) <= 1


def test_names_are_nobody_elses():
    assert not set(FIELDS) & {*EXPERIMENTS, "preset"}
    assert {name.split("_")[0] for name in FIELDS} == {*SMALL, "part"}


def test_presets_are_values_that_can_be_chosen():
    for part, rows in PRESETS.items():
        told = [small.preset_values(part, name) for name in rows]
        assert all(told.count(values) == 1 for values in told)
        for values in told:
            assert all(FIELDS[name].accepts(value) for name, value in values.items())


# --- what the presets say


def found(part: str, preset: str) -> Any:
    return small.look(DEFAULTS | small.preset_values(part, preset) | {"part": part})


def test_presets_of_the_cliff_do_what_they_say():
    left = {name: found("cliff", name).free.left(W_SPAN, B_SPAN) for name in PRESETS["cliff"]}
    assert left == {"thrown": 13, "careful": 23, "smooth": None, "tight": 13}
    assert all(found("cliff", name).clipped.left(W_SPAN, B_SPAN) is None for name in PRESETS["cliff"])
    assert found("cliff", "careful").clipped.error.min() < 1e-3
    assert found("cliff", "smooth").free.error[-1] < 1e-12
    moved = found("cliff", "tight").clipped
    assert np.hypot(moved.w[-1] - moved.w[0], moved.b[-1] - moved.b[0]) < 0.5


def test_presets_of_the_units_do_what_they_say():
    held = {name: int(found("one", name).unit.stable.sum()) for name in PRESETS["one"]}
    assert held == {"latch": 2, "pushed": 1, "edge": 0, "forgets": 1, "swings": 0}
    assert found("one", "swings").unit.cycle.size == 2
    kinds = {name: found("two", name).kinds for name in PRESETS["two"]}
    assert kinds["two"] == ["stable", "saddle", "stable"]
    assert kinds["one"] == kinds["spiral"] == ["stable"]
    assert kinds["four"].count("stable") == 4
    assert kinds["turns"] == ["unstable"]
    assert kinds["edge"] == ["edge"]


# --- the pictures


def corners() -> Iterator[dict[str, Any]]:
    """Presets, and for each part the ends of all sliders."""
    for part, rows in PRESETS.items():
        for name in rows:
            yield DEFAULTS | small.preset_values(part, name) | {"part": part}
        for end, phi in product(("low", "high"), ("tanh", "relu", "sigmoid") if part == "two" else ("tanh",)):
            ends = {name: getattr(FIELDS[name].range, end) for name in small.of_part(part) if FIELDS[name].range}
            yield DEFAULTS | ends | {"part": part, "two_phi": phi, "cliff_steps": 10 if end == "low" else 500}
    for w, u in product((-4.0, 1.0, 4.0), (-3.0, 0.0, 3.0)):
        yield DEFAULTS | {"part": "one", "one_w": w, "one_u": u, "one_start": 5.0}
    for gain, phi in product((0.0, 1.0), engine.ACTIVATIONS):
        eye = {"two_w11": 1.0, "two_w12": 0.0, "two_w21": 0.0, "two_w22": 1.0}
        yield DEFAULTS | eye | {"part": "two", "two_gain": gain, "two_phi": phi}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("values", list(corners()), ids=lambda v: v["part"])
def test_every_picture_is_valid(values, theme):
    world, result = SMALL[values["part"]], small.look(values)
    drawn = {name: draw(result, palette(theme)) for name, draw in world.pictures.items()}
    _, figures = decode(Encoder().encode({}, drawn))
    assert set(figures) == set(drawn)
    for name, part in drawn.items():
        go.Figure({"data": part["data"], "layout": part["layout"]})
        small_figure(values["part"], name, result, theme)
        meta = part["layout"]["meta"]
        assert meta["question"].endswith("?")
        for said in (meta["question"], meta["answer"], world.sentence(result)):
            assert "nan" not in said.lower()
            assert "inf" not in said.lower().replace("infinity", "")
        for axis in ("xaxis", "yaxis"):
            if axis in part["layout"]:
                low, high = part["layout"][axis]["range"]
                assert low < high
        for grows in meta.get("replay", []):
            trace, steps = part["data"][grows["trace"]], steps_of(values)
            length = grows.get("chunk", len(trace["x"]))
            assert length >= steps * grows.get("per", 1) + 1
            assert len(trace["x"]) % length == 0


def steps_of(values: dict[str, Any]) -> int:
    return values["cliff_steps"] if values["part"] == "cliff" else small.STEPS[values["part"]]


def test_a_lost_network_has_a_sentence():
    lost = engine.two_units([[np.nan, 0], [0, 1]])
    assert "not numbers" in SMALL["two"].sentence(lost)
    for draw in SMALL["two"].pictures.values():
        Encoder().encode({}, {"picture": draw(lost, palette("light"))})


def test_sentences_say_what_is_measured():
    thrown = SMALL["cliff"].sentence(found("cliff", "thrown"))
    walk = found("cliff", "thrown")
    assert f"gradient is {walk.free.norms[12]:.0f} at step 12" in thrown
    assert f"to w = {walk.free.w[13]:.0f}, b = {walk.free.b[13]:.0f}" in thrown
    assert "stays in the picture" in SMALL["cliff"].sentence(found("cliff", "smooth"))
    assert "holds a bit, as |u| = 0.3 is below 0.53284" in SMALL["one"].sentence(found("one", "latch"))
    assert "0.6 is above 0.53284" in SMALL["one"].sentence(found("one", "pushed"))
    assert "swings between −1.92 and 1.92" in SMALL["one"].sentence(found("one", "swings"))
    assert "9 resting points: 4 stable, 4 saddle, 1 unstable" in SMALL["two"].sentence(found("two", "four"))
    assert "No fixed point is reached" in SMALL["two"].sentence(found("two", "turns"))


def test_basins_are_drawn_in_the_colours_of_their_points():
    a = found("two", "two")
    z = SMALL["two"].pictures["portrait"](a, palette("light"))["data"][0]["z"]
    assert set(np.unique(z)) <= {0.0, 1.0, 4.0}
    assert (z[a.basins == 0] == 0).all()
    assert (z[a.basins == 2] == 1).all()
    assert (z[a.basins == -1] == 4).all()


# --- the run's own weights


def test_the_weights_of_a_run_of_two_units():
    e = engine.Experiment(hidden_size=2, nonlinearity="relu", seq_length=5, batch_size=2)
    state = engine.probe(e).state_dict
    taken = small.of_run(e, state)
    assert taken is not None
    w = [taken[f"two_w{i}{j}"] for i in (1, 2) for j in (1, 2)]
    np.testing.assert_allclose(w, state["weight_hh_l0"].ravel(), rtol=1e-3)
    b = state["bias_ih_l0"] + state["bias_hh_l0"]
    np.testing.assert_allclose([taken["two_b1"], taken["two_b2"]], b, rtol=1e-3)
    assert (taken["two_phi"], taken["two_gain"]) == ("relu", 1.0)
    for other in ({"cell": "gru"}, {"hidden_size": 3}, {"num_layers": 2}):
        assert small.of_run(e.replace(**other), state) is None
    for lost in (np.nan, 1e5):
        assert small.of_run(e, dict(state) | {"weight_hh_l0": np.full((2, 2), lost)}) is None


# --- the page


def world() -> None:
    """As explorer.py does it."""
    from app import session
    from app.views import small

    session.turn_to("small")
    session.read_link()
    session.read_beside()
    session.take()
    session.run()
    session.write_link()
    small.controls()
    session.delivered()
    small.page()


def page(**query: Any) -> AppTest:
    at = AppTest.from_function(world, default_timeout=30)
    at.query_params.update(query)
    at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    return " ".join(e.proto.body for e in at.main if hasattr(getattr(e, "proto", None), "body"))


def address(at: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in at.query_params.items()}


def texts(at: AppTest) -> list[str]:
    return [text.value for text in at.text]


def control(at: AppTest, key: str) -> Any:
    return next(e for e in [*at.main, *at.sidebar] if getattr(e, "key", None) == key)


def test_the_first_look():
    at = page()
    assert SMALL["cliff"].question in said(at)
    assert texts(at) == []
    assert address(at) == {}


@pytest.mark.parametrize("part", SMALL)
def test_every_part_has_its_controls_and_its_sentence(part):
    at = page(part=part)
    drawn = [e.key for e in at.sidebar if getattr(e, "key", None) in FIELDS]
    assert drawn == small.of_part(part)
    assert SMALL[part].sentence(small.look(DEFAULTS | {"part": part})) in said(at)


def test_nonsense_in_the_address_is_told_and_put_right():
    at = page(part="three", cliff_w="banana", one_u="1e5", gain="-1", hidden_sizee="3")
    told = " ".join(texts(at))
    for name in ("part", "cliff_w", "one_u"):
        assert f"{name} = " in told
    assert {name: at.session_state[name] for name in FIELDS} == DEFAULTS
    assert address(at) == {}
    at.button(key="dismiss").click().run()
    assert not at.exception
    assert texts(at) == []


def test_the_address_says_both():
    at = page(part="one", one_w="3.0", cell="lstm")
    assert address(at) == {"part": "one", "one_w": "3.0", "cell": "lstm"}
    control(at, "one_u").set_value(-0.5).run()
    assert address(at) == {"part": "one", "one_w": "3.0", "one_u": "-0.5", "cell": "lstm"}
    assert at.session_state["experiment"].cell == "lstm"


@pytest.mark.parametrize("part", SMALL)
def test_sliders_at_their_ends(part):
    at = page(part=part)
    for name in small.of_part(part):
        field = FIELDS[name]
        ends = field.options if field.options else (field.range.low, field.range.high)
        for value in (ends[0], ends[-1]):
            control(at, name).set_value(value).run()
            assert not at.exception
            assert at.session_state[name] == value


@pytest.mark.parametrize(("part", "preset"), [(part, name) for part, rows in PRESETS.items() for name in rows])
def test_presets_are_a_click(part, preset):
    at = page(part=part)
    at.button(key=f"start_{part}_{preset}").click().run()
    assert not at.exception
    assert {name: at.session_state[name] for name in small.of_part(part)} == small.preset_values(part, preset)
    assert SMALL[part].sentence(found(part, preset)) in said(at)


def test_the_runs_weights_are_taken():
    at = page(part="two", hidden_size="2", seq_length="5", batch_size="2")
    assert RUNS.get(at.session_state["token"]).settle(60)
    at.run()
    at.button(key="from_run").click().run()
    assert not at.exception
    weights = engine.probe(at.session_state["experiment"]).state_dict["weight_hh_l0"]
    assert at.session_state["two_w11"] == pytest.approx(float(weights[0, 0]), rel=1e-3)
    assert page(part="two").button(key="from_run").disabled


def test_going_back_brings_back_what_the_address_says():
    at = page(part="one", one_w="3.0")
    control(at, "one_w").set_value(1.5).run()
    at.query_params["one_w"] = "3.0"
    at.run()
    assert at.session_state["one_w"] == 3.0
    assert at.session_state["part"] == "one"


def test_what_is_sent_for_a_part_is_bounded():
    for part in SMALL:
        result = small.look(DEFAULTS | {"part": part, "cliff_steps": 500})
        frame = Encoder().encode({}, {n: d(result, palette("light")) for n, d in SMALL[part].pictures.items()})
        assert len(base64.b64encode(frame)) < 600_000


def test_results_are_kept_and_few():
    assert small.look(DEFAULTS) is small.look(dict(DEFAULTS))
    for cache in (small._cliff, small._one, small._two):
        assert cache.cache_info().maxsize == 32
    assert dataclasses.is_dataclass(small.look(DEFAULTS))
