"""The dataset of a sweep: values where they belong, quartiles over seeds told plainly, and the same from its file."""

import csv
import json
import subprocess
import sys
from math import inf, nan

import numpy as np
import pytest
import xarray

import engine
from engine.sweeps import MEASURES, boundary, dataset, write_csv
from tests.conftest import ROOT

BASE = engine.Experiment(hidden_size=4, seq_length=12, batch_size=3)
AXES = {"gain": [0.5, 1.5], "tbptt": [None, 4, 6], "cell": ["rnn", "gru"]}


def counted(plan: engine.Plan, some: slice = slice(None)) -> dict[str, dict[str, float]]:
    """A value for each point that says which it is."""
    return {
        plan.key(point): {name: 100.0 * k + len(name) for name in plan.measures}
        for k, point in list(enumerate(plan.points))[some]
        if point.experiment is not None
    }


def of_seeds(name: str, values: list[float | None]) -> dict[str, float]:
    """The quartiles (and the share) over seeds with these values; None: not done yet."""
    p = engine.plan(BASE, {"gain": [1.0]}, seeds=len(values), measures=name, steps=1)
    known = {p.key(point): {name: v} for point, v in zip(p.points, values, strict=True) if v is not None}
    found = dataset(p, known)
    return {str(key).removeprefix(name)[1:]: float(found[key][0]) for key in found if str(key).startswith(f"{name}_")}


def test_every_value_is_at_its_axes_values():
    p = engine.plan(BASE, AXES, seeds=[3, 8], measures=["decades_per_step", "grad_norm"])
    values = counted(p)
    found = dataset(p, values)
    assert found.decades_per_step.dims == ("gain", "tbptt", "cell", "seed")
    for point in p.points:
        e = point.experiment
        at = {"gain": e.gain, "tbptt": str(e.tbptt), "cell": e.cell, "seed": e.seed}
        for name in p.measures:
            assert found[name].sel(at) == values[p.key(point)][name]
    assert found.done.all()
    assert (found.error == "").all()


def test_what_is_not_done_is_a_gap_and_what_failed_says_why():
    p = engine.plan(BASE, {"task": ["adding", "copy_memory"], "loss": [None, "cross_entropy"]}, seeds=2)
    values = counted(p, slice(0, 3))
    raised = p.points[-1]
    found = dataset(p, values, {p.key(raised): "out of memory"})
    assert int(found.done.sum()) == int(found.decades_per_step.notnull().sum()) == len(values) == 2
    assert found.error.sel(task="adding", loss="cross_entropy", seed=0).item().startswith("loss=cross_entropy")
    assert found.error[(*raised.index, raised.seed_index)].item() == "out of memory"
    assert found.decades_per_step_median.notnull().sum() == 2


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("train_loss", [3, 1, 2, 5, 4], (2, 3, 4)),
        ("train_loss", [3, 1, None, None, None], (1.5, 2, 2.5)),
        ("train_loss", [1, 2, nan, nan, nan], (2, inf, inf)),  # most diverged: the middle seed has no loss
        ("train_loss", [1, 2, 3, nan, inf], (2, 3, inf)),
        ("train_loss", [1, 2, 3, nan], (1.75, 2.5, inf)),
        ("steps_to_baseline", [nan, 10, 20], (15, 20, inf)),
        ("steps_to_baseline", [nan, nan, nan], (inf, inf, inf)),
        ("decades_per_step", [-1, nan, -2, nan, nan], (-1.75, -1.5, -1.25)),
        ("decades_per_step", [nan, nan], (nan, nan, nan)),
        ("decades_per_step", [None, None], (nan, nan, nan)),
        ("half_life", [inf, inf, 3], (inf, inf, inf)),
        ("half_life", [4, 2, inf], (3, 4, inf)),
        ("beats_baseline", [0, 1, 1, 1], (0.75, 1, 1)),
        ("lyapunov", [-inf, -2, 0.05], (-inf, -2, -0.975)),
        ("lyapunov", [-inf, -inf, -2, 1], (-inf, -inf, -1.25)),
        ("lyapunov", [-inf, -inf, -inf], (-inf, -inf, -inf)),
        ("lyapunov", [-inf, -2, -1, 0, 1], (-2, -1, 0)),
        ("lyapunov", [-inf, nan, -2], (-inf, -inf, -inf)),
        ("half_life", [-inf, inf], (-inf, -inf, inf)),
    ],
)
def test_quartiles_over_seeds(name, values, expected):
    found = of_seeds(name, values)
    assert [found[key] for key in ("q1", "median", "q3")] == pytest.approx(expected, nan_ok=True)


def test_quartiles_of_numbers_are_numpys():
    values = np.random.default_rng(0).standard_normal(11)
    found = of_seeds("decades_per_step", list(values))
    assert [found[key] for key in ("q1", "median", "q3")] == pytest.approx(np.quantile(values, (0.25, 0.5, 0.75)))


def test_the_share_of_seeds_is_of_those_that_are_done():
    assert of_seeds("beats_baseline", [1, 0, 0, 0, 1])["share"] == pytest.approx(0.4)
    assert of_seeds("beats_baseline", [1, 0, None, None])["share"] == pytest.approx(0.5)
    assert np.isnan(of_seeds("diverged", [None])["share"])


def test_folds_have_a_mean_and_its_standard_error():
    p = engine.plan(BASE.replace(train_size=9), {"hidden_size": [2, 4]}, measures="val_loss", steps=3, folds=3)
    values = {p.key(point): engine.measure(point.experiment, p.measures, p.steps) for point in p.points}
    found = dataset(p, values)
    assert found.val_loss.dims == ("hidden_size", "fold")
    assert found.fold.values.tolist() == [1, 2, 3]
    losses = found.val_loss.values
    np.testing.assert_allclose(found.val_loss_mean, losses.mean(axis=1))
    np.testing.assert_allclose(found.val_loss_se, losses.std(axis=1, ddof=1) / np.sqrt(3))
    values[p.key(p.points[0])]["val_loss"] = nan
    one = dataset(p, values)
    at = p.points[0].index
    assert np.isnan(one.val_loss_mean[at]), "a mean that leaves a fold out would be of other data"
    assert np.isnan(one.val_loss_se[at])


@pytest.fixture(scope="module")
def measured() -> tuple[engine.Plan, "xarray.Dataset"]:
    axes = {"seq_length": [12, 20], "init": ["normal", "zeros"], "reset_after": [True, False]}
    p = engine.plan(BASE, axes, seeds=2, measures=["decades_per_step", "chi", "half_life"])
    return p, dataset(p, {p.key(point): engine.measure(point.experiment, p.measures) for point in p.points[:-1]})


def test_it_says_what_it_is(measured):
    p, found = measured
    assert engine.Experiment(**json.loads(found.attrs["experiment"])) == p.base
    assert json.loads(found.attrs["axes"]) == {name: list(values) for name, values in p.axes.items()}
    assert found.attrs["steps"] == 0
    assert len(found.attrs["engine"]) == 16
    assert found.seq_length.attrs["units"] == "timesteps"
    assert found.init.attrs["long_name"] == "Weights"
    for name in p.measures:
        assert found[name].attrs["units"] == (MEASURES[name].unit or "1")
        assert "median" in found[f"{name}_median"].attrs["long_name"]


def test_it_is_the_same_read_back_from_netcdf(measured, tmp_path):
    _, found = measured
    found.to_netcdf(tmp_path / "map.nc", engine="h5netcdf")
    xarray.testing.assert_identical(xarray.load_dataset(tmp_path / "map.nc", engine="h5netcdf"), found)


def table_of(path):
    """The lines of a CSV below its head."""
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def test_csv_has_its_experiment_and_units_above(measured, tmp_path):
    p, found = measured
    write_csv(found, tmp_path / "map.csv")
    lines = (tmp_path / "map.csv").read_text().splitlines()
    head = dict(line.removeprefix("# ").split(": ", 1) for line in lines if line.startswith("#"))
    assert engine.Experiment(**json.loads(head.pop("experiment"))) == p.base
    assert head["decades_per_step"] == "Gradient's slope, decades per step back"
    assert head["seq_length"] == "Length T, timesteps"
    assert list(head) == ["steps", *table_of(tmp_path / "map.csv")[0].split(",")]


def test_csv_has_a_row_for_every_point_and_seed(measured, tmp_path):
    p, found = measured
    write_csv(found, tmp_path / "map.csv")
    rows = list(csv.DictReader(table_of(tmp_path / "map.csv")))
    assert len(rows) == p.size
    assert list(rows[0]) == [*p.axes, "seed", *p.measures, "done", "error"]
    for row in rows:
        at = {"seq_length": int(row["seq_length"]), "init": row["init"], "reset_after": row["reset_after"]}
        value = found.decades_per_step.sel(at | {"seed": int(row["seed"])}).item()
        assert row["decades_per_step"] == ("" if np.isnan(value) else repr(value))


def test_the_engine_alone_does_not_load_what_only_a_dataset_needs():
    code = (
        "import sys, engine; e = engine.Experiment(hidden_size=4, seq_length=5);"
        "p = engine.plan(e, {'gain': [1]}, seeds=1); p.key(p.points[0]); engine.measure(e, p.measures);"
        "assert not {'xarray', 'pandas', 'dask', 'distributed', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# --- The theory's boundary --------------------------------------------------------------------------------------------

WIDE = engine.Experiment(hidden_size=32)


@pytest.mark.parametrize("init", ["normal", "orthogonal", "kaiming_normal"])
def test_on_the_boundary_chi_is_one(init):
    lengths = [10, 40, 70, 100]
    p = engine.plan(WIDE.replace(init=init), {"gain": [0.3, 0.7, 1.2, 1.9], "seq_length": lengths}, seeds=[4, 5])
    line = boundary(p, "gain", "seq_length")
    assert line[:, 1].tolist() == lengths[1:], "of 10 timesteps there is no theory"
    for gain, steps in line:
        e = p.base.replace(gain=float(gain), seq_length=int(steps), seed=4)
        assert engine.mean_field(e).chi == pytest.approx(1, abs=1e-8)
    np.testing.assert_array_equal(boundary(p, "seq_length", "gain"), line[:, ::-1])


def test_on_an_axis_of_names_a_place_is_their_number():
    p = engine.plan(WIDE, {"nonlinearity": ["identity", "sigmoid", "relu"], "gain": [0.5, 1.2, 2.5]}, seeds=1)
    line = boundary(p, "nonlinearity", "gain")
    np.testing.assert_allclose(line[[0, 2]], [[0, 1], [2, np.sqrt(2)]], rtol=1e-8)
    assert np.isnan(line[1]).all(), "for a sigmoid there is no theory here"


def test_between_whole_numbers_the_boundary_is_on_a_straight_line():
    e = WIDE.replace(init="standard_normal", gain=0.2, nonlinearity="identity")
    p = engine.plan(e, {"hidden_size": [16, 24, 32], "lr": [0.1, 1.0]}, seeds=1)
    line = boundary(p, "hidden_size", "lr")
    assert line[:, 1].tolist() == [0.1, 1.0]
    assert line[:, 0] == pytest.approx([25, 25], rel=0.01)  # gain · √H = 1


@pytest.mark.parametrize(
    ("changes", "axes"),
    [
        ({"gain": 0.5}, {"lr": [0.1, 1.0], "clip_threshold": [1.0, 2.0]}),
        ({"cell": "lstm"}, {"gain": [0.5, 1.5], "lr": [0.1, 1.0]}),
        ({}, {"gain": [0.1, 0.2], "lr": [0.1, 1.0]}),
        ({}, {"init": ["normal", "zeros"], "nonlinearity": ["tanh", "relu"]}),
        ({"init": "orthogonal", "nonlinearity": "identity"}, {"seq_length": [40, 60, 80], "lr": [0.1, 1.0]}),
        ({"init": "kaiming_normal", "nonlinearity": "relu"}, {"lr": [0.1, 1.0], "seq_length": [40, 60, 80]}),
    ],
)
def test_where_there_is_no_boundary_there_is_none(changes, axes):
    x, y = axes
    assert boundary(engine.plan(WIDE.replace(**changes), axes, seeds=1), x, y) is None


def test_the_boundary_is_of_two_axes_of_the_plan():
    p = engine.plan(WIDE, {"gain": [0.5, 1.5], "lr": [0.1, 1.0]}, seeds=1)
    with pytest.raises(ValueError, match="allowed: two of gain, lr"):
        boundary(p, "gain", "seq_length")
    with pytest.raises(ValueError, match="allowed: two of gain, lr"):
        boundary(p, "gain", "gain")
