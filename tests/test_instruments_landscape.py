"""The loss on a plane: against single passes, PyTorch, Hessians by finite differences, and the geometry of planes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.instruments.plane import flat, plane_through, random_plane
from engine.weights import blank, initialise
from tests import cases, torch_reference

KINDS = list(cases.KINDS)


def small(kind: str = "rnn", **changes: object) -> engine.Experiment:
    return engine.Experiment(
        **cases.KINDS[kind], **({"hidden_size": 6, "batch_size": 3, "num_layers": 2, "seq_length": 11} | changes)
    )


def as_state(e: engine.Experiment, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The vector (N,) by names."""
    parameters = blank(e)
    parameters.flat[:] = weights
    return dict(parameters)


def initial(e: engine.Experiment):
    parameters = blank(e)
    initialise(parameters, e)
    return parameters


def trained(e: engine.Experiment, count: int = 6, every: int = 3) -> list[dict[str, np.ndarray]]:
    trainer, states = engine.Trainer(e), []
    for _ in range(count):
        states.append(trainer.state_dict)
        trainer.advance(every)
    return states


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("task", ["adding", "text"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_middle_is_the_loss_of_probe(kind, task, dtype):
    e = small(kind, task=task, dtype=dtype, seq_length=12)
    found = engine.landscape(e, size=3)
    assert found.loss[1, 1] == found.here == engine.probe(e).loss


@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_is_the_loss_at_those_weights(kind):
    """By a pass of the engine, and one of PyTorch."""
    e = small(kind)
    state, (inputs, targets) = cases.state_dict(e, 2, 3), cases.data(e, 7, True)
    found = engine.landscape(e, state, inputs, targets, size=5, extent=0.7, seed=3)
    t = engine.probe(e, state, inputs, targets)
    names, sizes = list(t.state_dict), [t.state_dict[name].size for name in t.state_dict]

    def vector(s: dict) -> np.ndarray:
        return np.concatenate([np.ravel(s[name]) for name in names])

    def by_name(v: np.ndarray) -> dict[str, np.ndarray]:
        parts = np.split(v, np.cumsum(sizes)[:-1])
        return {name: part.reshape(t.state_dict[name].shape) for name, part in zip(names, parts, strict=True)}

    # the same draw, written again: row by row of every matrix
    rng, directions = np.random.default_rng(3), []
    for _ in range(2):
        d = {}
        for name in names:
            w = state[name]
            draw = rng.standard_normal(w.shape)
            d[name] = np.zeros_like(w)
            if w.ndim == 2:
                for row in range(len(w)):
                    d[name][row] = draw[row] / np.linalg.norm(draw[row]) * np.linalg.norm(w[row])
        directions.append(vector(d))
    for j, i in ((0, 0), (0, 4), (3, 1), (4, 2)):
        moved = by_name(vector(state) + found.x[i] * directions[0] + found.y[j] * directions[1])
        assert abs(found.loss[j, i] / engine.probe(e, moved, inputs, targets).loss - 1) < 1e-12
        assert abs(found.loss[j, i] / torch_reference.run(e, moved, inputs, targets, True).loss - 1) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_slope_and_curvature_are_those_of_the_exact_gradient(kind):
    """∂L/∂x = u·g, and ∂²L/∂x∂y = uᵀH v with H v from central differences of the gradient."""
    e, h = small(kind, task="sine", nonlinearity="tanh"), 1e-3
    found = engine.landscape(e, size=3, extent=h, seed=1)
    plane = random_plane(initial(e), 1)

    def gradient(weights: np.ndarray) -> np.ndarray:
        return flat(e, engine.probe(e, as_state(e, weights)).grads)

    g, (loss, here) = gradient(plane.origin), (found.loss, found.here)
    along = np.array([(loss[1, 2] - loss[1, 0]) / (2 * h), (loss[2, 1] - loss[0, 1]) / (2 * h)])
    np.testing.assert_allclose(along, [plane.u @ g, plane.v @ g], rtol=1e-4, atol=1e-7)
    hu, hv = ((gradient(plane.origin + h * d) - gradient(plane.origin - h * d)) / (2 * h) for d in (plane.u, plane.v))
    curved = np.array([
        (loss[1, 2] - 2 * here + loss[1, 0]) / h**2, (loss[2, 1] - 2 * here + loss[0, 1]) / h**2,
        (loss[2, 2] - loss[2, 0] - loss[0, 2] + loss[0, 0]) / (4 * h**2),
    ])  # fmt: skip
    expected = [plane.u @ hu, plane.v @ hv, plane.u @ hv]
    np.testing.assert_allclose(curved, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_a_quadratic_loss_is_a_quadratic_surface():
    """The head alone moved: MSE is quadratic in it, so second differences are the same everywhere on the plane."""
    e = small(num_layers=1)
    states = [dict(initial(e)) for _ in range(3)]
    for n, state in enumerate(states[1:]):
        state["head.weight"] = state["head.weight"] + np.eye(1, 6, n)
    found = engine.landscape(e, states[0], directions=states[1:], size=9)
    for axis in (0, 1):
        bent = np.diff(found.loss, 2, axis=axis)
        np.testing.assert_allclose(bent, bent[0, 0], rtol=1e-9, atol=1e-13)


@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS), units=st.integers(1, 9), layers=st.integers(1, 3), seed=st.integers(0, 10**6),
    task=st.sampled_from(["adding", "text"]),
)  # fmt: skip
def test_every_filter_moves_by_its_own_length(kind, units, layers, seed, task):
    e = small(kind, hidden_size=units, num_layers=layers, task=task, seq_length=10)
    parameters = initial(e)
    plane = random_plane(parameters, seed)
    for direction in (plane.u, plane.v):
        for name, d in as_state(e, direction).items():
            if d.ndim == 1:
                assert not d.any()
            else:
                np.testing.assert_allclose(np.linalg.norm(d, axis=1), np.linalg.norm(parameters[name], axis=1))
    assert not np.allclose(plane.u, plane.v)
    assert not np.allclose(plane.u, random_plane(parameters, seed + 1).u)
    np.testing.assert_array_equal(plane.u, random_plane(parameters, seed).u)


@pytest.mark.parametrize("directions", ["random", "path"])
def test_a_state_is_as_far_as_pythagoras_says(directions):
    """In the plane² + off the plane² = the distance², and what is off is orthogonal to the plane."""
    e = small("lstm")
    states = trained(e)
    found = engine.landscape(e, states[2], directions=directions, path=states, size=3)
    here, points = flat(e, states[2]), [flat(e, state) for state in states]
    plane = random_plane(parameters_of(e, states[2]), 0)
    if directions == "path":
        plane = plane_through(here, points[0], [here, *points[1:]])
    np.testing.assert_allclose(found.distance, [np.linalg.norm(point - here) for point in points])
    np.testing.assert_allclose(found.lengths, [np.linalg.norm(plane.u), np.linalg.norm(plane.v)])
    for point, place, off in zip(points, found.path, found.off_plane, strict=True):
        inside = plane.at(*place) - here
        np.testing.assert_allclose(inside @ inside + off**2, np.sum((point - here) ** 2), rtol=1e-9, atol=1e-20)
        beside = point - plane.at(*place)
        np.testing.assert_allclose([beside @ plane.u, beside @ plane.v], 0.0, atol=1e-10)
    moved = [np.linalg.norm(plane.at(*b) - plane.at(*a)) for a, b in pairwise(found.path)]
    np.testing.assert_allclose(found.steps_in_plane, moved, rtol=1e-9)
    np.testing.assert_allclose(found.steps, [np.linalg.norm(b - a) for a, b in pairwise(points)])
    assert 0 < found.share_in_plane < 1
    np.testing.assert_allclose(found.path_loss, [engine.probe(e, state).loss for state in states], rtol=1e-12)


def parameters_of(e, state):
    parameters = blank(e)
    for name, view in parameters.items():
        view[...] = state[name]
    return parameters


def test_a_plane_through_three_states_contains_them():
    e = small("gru")
    states = trained(e)
    first, middle, last = states[0], states[3], states[-1]
    found = engine.landscape(e, middle, directions="path", path=[first, middle, last], size=5)
    np.testing.assert_allclose(found.off_plane, 0, atol=1e-12)
    np.testing.assert_allclose(found.path[1], 0, atol=1e-12)
    assert found.share_in_plane == pytest.approx(1.0)
    low, high = np.array([found.x[0], found.y[0]]), np.array([found.x[-1], found.y[-1]])
    assert ((low < found.path) & (found.path < high)).all()
    pair = engine.landscape(e, middle, directions=(first, last), path=[first, middle, last], size=5)
    np.testing.assert_allclose(pair.off_plane, 0, atol=1e-12)
    assert pair.directions == "points"
    plane = plane_through(flat(e, middle), flat(e, first), [flat(e, middle), flat(e, last)])
    np.testing.assert_allclose(plane.gram, np.eye(2), atol=1e-12)
    for state, place in zip((first, middle, last), found.path, strict=True):  # and the surface there is their loss
        on_it = as_state(e, plane.at(*place))
        assert engine.probe(e, on_it).loss == pytest.approx(engine.probe(e, state).loss, rel=1e-9)


def test_the_plane_of_a_run_at_its_end_goes_through_the_state_farthest_off():
    e = small()
    states = trained(e)
    found = engine.landscape(e, states[-1], directions="path", path=states, size=3)
    off, points = found.off_plane, [flat(e, state) for state in states]
    along = (points[-1] - points[0]) / np.linalg.norm(points[-1] - points[0])
    beside = [np.linalg.norm(p - points[0] - along @ (p - points[0]) * along) for p in points]
    assert off[int(np.argmax(beside))] < 1e-12
    np.testing.assert_allclose(off[[0, -1]], 0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_infinite_and_not_a_number_are_results(kind):
    e = small(kind, task="sine", nonlinearity="identity")
    if kind != "lstm":  # its tanh bounds the outputs
        found = engine.landscape(e.replace(dtype="float32"), size=5, extent=1e6)
        assert np.isfinite(found.here)
        assert not np.isfinite(found.loss).all()
    states = trained(e, 3)
    lost = {name: np.full_like(value, np.nan) for name, value in states[0].items()}
    for directions in ("random", "path"):
        found = engine.landscape(e, lost, directions=directions, path=[*states, lost], size=3)
        assert np.isnan(found.loss).all()
        assert np.isnan(found.off_plane).any()


def test_the_random_state_of_the_host_stays():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    engine.landscape(small(), size=3)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"directions": "hessian"}, "directions: 'hessian'"),
        ({"directions": ({},)}, "directions"),
        ({"directions": "path"}, "path: 0 states"),
        ({"seed": -1}, "seed: -1"),
        ({"seed": 1.5}, "seed: 1.5"),
        ({"size": 2}, "size: 2"),
        ({"size": True}, "size: True"),
        ({"extent": 0}, "extent: 0"),
        ({"extent": float("nan")}, "extent: nan"),
        ({"extent": "1"}, "extent: '1'"),
        ({"path": [{}]}, "state_dict: missing"),
    ],
)
def test_what_is_wrong_is_said(options, said):
    with pytest.raises(ValueError, match=said):
        engine.landscape(small(), **({"size": 3} | options))


def test_three_states_on_a_line_make_no_plane():
    e = small()
    first, last = trained(e, 2)
    half = {name: (first[name] + last[name]) / 2 for name in first}
    for path in ([first, half, last], [first, last], [first, first]):
        with pytest.raises(ValueError, match="allowed: three states"):
            engine.landscape(e, half, directions="path", path=path, size=3)
