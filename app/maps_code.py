"""A map as a line of Python and as one of a shell: both measure the same points. No Streamlit in here."""

import json
import shlex
from typing import Any

import engine
from app import settings
from app.maps import Choice

PYTHON = """import engine

base = engine.Experiment({base})
found = engine.sweep(
    base,
    axes={axes},
    {samples},
    measures=("{measure}",),
    steps={steps},
    store="sweep.sqlite",  # what is done stays done, if it is killed
)
print(found["{measure}_median"])
"""


def base_of(e: engine.Experiment, choice: Choice) -> dict[str, Any]:
    """What of the experiment differs from the default, but for the knobs that are turned."""
    default, turned = engine.Experiment(), [axis.field for axis in choice.axes]
    return {
        name: value for name, value in e.model_dump().items() if name not in turned and value != getattr(default, name)
    }


def python(e: engine.Experiment, choice: Choice) -> str:
    """The program that gives the map as an xarray.Dataset."""
    base = ", ".join(f"{name}={_literal(value)}" for name, value in base_of(e, choice).items())
    rows = [f"        {json.dumps(axis.field)}: {_listed(axis.values)},\n" for axis in choice.axes]
    return PYTHON.format(
        base=base, axes="{\n" + "".join(rows) + "    }", measure=choice.measure, steps=choice.steps,
        samples=f"folds={choice.folds}" if choice.folds else f"seeds={choice.seeds}",
    )  # fmt: skip


def shell(e: engine.Experiment, choice: Choice) -> str:
    """The command that writes it to a file."""
    parts = ["python -m engine sweep"]
    if said := [shlex.quote(f"{name}={settings.write(value)}") for name, value in base_of(e, choice).items()]:
        parts.append("--set " + " ".join(said))
    for axis in choice.axes:
        parts.append(shlex.quote(f"--axis={axis.field}={','.join(map(settings.write, axis.values))}"))
    parts.append(f"--folds {choice.folds}" if choice.folds else f"--seeds {choice.seeds}")
    parts.append(f"--measure {choice.measure} --steps {choice.steps} --store sweep.sqlite --out map.nc --csv map.csv")
    return " \\\n  ".join(parts)


def _literal(value: Any) -> str:
    return json.dumps(str(value)) if isinstance(value, str) else repr(value)


def _listed(values: tuple[Any, ...]) -> str:
    return "[" + ", ".join(map(_literal, values)) + "]"
