"""The result of a sweep, or of the part of it that is done: an xarray.Dataset with named axes, units, and quartiles."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine._jit import sources_hash
from engine.experiment import Experiment
from engine.sweeps import axes as axis
from engine.sweeps.measures import LAYER, MEASURES, VALIDATE_EVERY, Measure
from engine.sweeps.plan import Plan

if TYPE_CHECKING:
    import xarray

QUARTILES = {"q1": (0.25, "lower quartile"), "median": (0.5, "median"), "q3": (0.75, "upper quartile")}


def dataset(
    plan: Plan, values: Mapping[str, Mapping[str, float]], errors: Mapping[str, str] | None = None
) -> "xarray.Dataset":
    """What is known of a plan's points: key -> {measure: value}, and key -> why a point raised. The rest is NaN.

    Dimensions: the axes in their order, then "seed" (or "fold"). Each measure has a variable of its name, and over the
    seeds that are done <measure>_median, _q1 and _q3, and _share where it is 0 or 1 (over folds: _mean and _se, NaN
    where one of them has no value). `done` says which points are, `error` why one is none. In the quartiles a seed
    without a loss (it diverged), or that never beat the baseline, counts as infinitely bad, so that they do not speak
    of the lucky ones alone: infinity means so many seeds. In all other measures a seed without a value is left out;
    `diverged` says how many there are.
    """
    import xarray

    dims, summaries = (*plan.axes, plan.repeat), _over_seeds if plan.folds is None else _over_folds
    found = {name: np.full(plan.shape, np.nan) for name in plan.measures}
    done, error = np.zeros(plan.shape, bool), np.full(plan.shape, "", object)
    for point in plan.points:
        at, key = (*point.index, point.seed_index), "" if point.experiment is None else plan.key(point)
        error[at] = point.error or (errors or {}).get(key, "")
        known = values.get(key)
        if known is not None:
            done[at] = True
            for name, array in found.items():
                array[at] = known.get(name, np.nan)
    data: dict[str, Any] = {}
    for name, array in found.items():
        row = MEASURES[name]
        label = row.label if plan.folds is None else row.of_folds or row.label
        about = {"units": row.unit or "1", "long_name": label, "description": row.meaning}
        data[name] = dims, array, about
        for suffix, (word, summary) in summaries(array, done, row).items():
            data[f"{name}_{suffix}"] = dims[:-1], summary, about | {"long_name": f"{label}, {word}"}
    data["done"] = dims, done.astype(np.int8), {"units": "1", "long_name": "1 where the point is done"}
    data["error"] = dims, error.astype(str), {"long_name": "Why the point has no values"}
    coordinates = {name: _coordinate(name, values) for name, values in plan.axes.items()}
    repeats = np.array(plan.seeds) if plan.folds is None else np.arange(plan.folds) + 1
    coordinates[plan.repeat] = plan.repeat, repeats, {"units": "1", "long_name": plan.repeat.capitalize()}
    return xarray.Dataset(data, coordinates, _attributes(plan))


def _coordinate(name: str, values: tuple[Any, ...]) -> tuple[str, np.ndarray, dict[str, str]]:
    field: Any = Experiment.model_fields[name]
    unit = field.json_schema_extra["unit"]
    about = {"long_name": field.title, "description": field.description}
    if axis.named(values):
        return name, np.array([str(value) for value in values]), about
    return name, np.array(values), about | {"units": unit or "1"}


def _attributes(plan: Plan) -> dict[str, Any]:
    state = f"after {plan.steps} training steps" if plan.steps else "of the fresh network"
    return {
        "experiment": plan.base.model_dump_json(),
        "axes": json.dumps({name: [_plain(value) for value in values] for name, values in plan.axes.items()}),
        "steps": plan.steps,
        "engine": sources_hash(),
        "about": f"Measures {state}, of layer {LAYER} where they are of a layer; χ is always the fresh network's. "
        f"Validation for steps_to_baseline: every {VALIDATE_EVERY} steps and at the end.",
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def _over_seeds(values: np.ndarray, done: np.ndarray, row: Measure) -> dict[str, tuple[str, np.ndarray]]:
    """Suffix -> in words, and over the last axis: quartiles, of 0 and 1 the share too."""
    found = {
        suffix: (f"{word} over seeds", _quantile(values, done, quantile, row.worst))
        for suffix, (quantile, word) in QUARTILES.items()
    }
    return found | ({"share": ("share of seeds", _mean(values, done)[0])} if row.share else {})


def _over_folds(values: np.ndarray, done: np.ndarray, row: Measure) -> dict[str, tuple[str, np.ndarray]]:
    """The same for cross-validation: mean, and standard error as if the folds were independent."""
    mean, count = _mean(values, done)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.where(done, (values - mean[..., None]) ** 2, 0.0).sum(axis=-1)
        error = np.where(count > 1, np.sqrt(squares / (count - 1) / count), np.nan)
    return {"mean": ("mean over folds", mean), "se": ("standard error of the mean over folds", error)}


def _quantile(values: np.ndarray, done: np.ndarray, quantile: float, worst: float) -> np.ndarray:
    """Over the last axis, linear between two seeds; what is not done or NaN is left out, NaN where nothing is left."""
    ordered = np.sort(np.where(done & np.isnan(values), worst, values), axis=-1)  # infinity after numbers, then NaN
    return between(ordered, quantile * np.maximum((~np.isnan(ordered)).sum(axis=-1) - 1, 0))


def between(ordered: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Of sorted samples along the last axis, at a place between two of them, linear.

    Between a number and ±∞ all is ±∞, and between −∞ and ∞ the nearer one, in the middle the lower.
    """
    below, above = np.floor(place).astype(int), np.ceil(place).astype(int)
    low, high = (np.take_along_axis(ordered, at[..., None], -1)[..., 0] for at in (below, above))
    share = place - below
    with np.errstate(invalid="ignore"):
        found = np.where(low == high, low, low + share * (high - low))
    beyond = np.isneginf(low) & ~np.isnan(high) & (share > 0)  # where the formula would say −∞ + ∞
    return np.where(beyond, np.where(np.isposinf(high) & (share > 0.5), high, low), found)


def _mean(values: np.ndarray, done: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over the last axis, of the points that are done, and how many they are; NaN where one of them is, or none is."""
    count = done.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(done, values, 0.0).sum(axis=-1) / count, count


def write_csv(found: "xarray.Dataset", path: str | Path) -> None:
    """One row a point and seed (or fold): the axes, the seed, the measures, done and error.

    Above stand, after number signs, the experiment and what each column is, with its unit:
    `pandas.read_csv(path, comment="#")` passes over them.
    """
    names = [name for name, array in found.data_vars.items() if array.dims == found.done.dims]
    table = found[names].to_dataframe().reset_index()
    about = [f"{name}: {', '.join(_told(found[name].attrs))}" for name in table.columns]
    head = [f"experiment: {found.attrs['experiment']}", f"steps: {found.attrs['steps']}", *about]
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {line}\n" for line in head)
        table.to_csv(file, index=False)


def _told(about: Mapping[str, str]) -> list[str]:
    """A column's name in words, and its unit where it has one."""
    unit = about.get("units", "1")
    return [about["long_name"], *([unit] if unit != "1" else [])]
