"""A series of one's own, from a CSV, an array or a frame: at every step, predict what comes some steps later."""

import hashlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from engine.own.forms import check_width
from engine.own.reading import MOST_BYTES, NAMELESS, content, label_of
from engine.own.said import LATER, NEXT, SOURCE, Refused, Said, file_label, names, plain, quote, share_of
from engine.own.tables import Table, of_frame, table
from engine.parameters import as_array
from engine.tasks.own import OwnTask, own_task
from engine.tasks.task import Task

NORMALISE = ("standard", "minmax", "none")
# A row left out and a number made up both change the series, so neither is done unasked.
MISSING = ("refuse", "drop", "interpolate")
LARGEST = 1e100  # of a value: its square is finite
MOST_HORIZON = 100_000


@dataclass(frozen=True, eq=False)
class Series:
    """values (N, C) float64, scaled; the first `training` rows are for training, the others for validation.

    inputs and outputs: which columns a network hears and has to predict, `horizon` steps ahead.
    """

    values: np.ndarray
    columns: tuple[str, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    horizon: int
    training: int
    offset: np.ndarray  # (C,): a value in the data's own units is offset + scale · scaled
    scale: np.ndarray  # (C,)
    label: str
    notes: tuple[Said, ...]
    recipe: str

    @property
    def name(self) -> str:
        digest = hashlib.sha256(repr((self.columns, self.inputs, self.outputs, self.horizon, self.training, self.label,
                                      self.recipe, self.notes,
                                      self.values.shape)).encode("utf-8", "surrogatepass"))  # fmt: skip
        for array in (self.values, self.offset, self.scale):
            digest.update(array.tobytes())
        return f"series-{digest.hexdigest()[:24]}"

    @property
    def held(self) -> int:
        """Rows for validation."""
        return len(self.values) - self.training

    @cached_property
    def spans(self) -> np.ndarray:
        """(C, 2): least and greatest value of each column, in the data's units."""
        ends = np.stack([self.values.min(axis=0), self.values.max(axis=0)])
        return (self.offset + self.scale * ends).T

    def own_units(self, values: np.ndarray, output: int = 0) -> np.ndarray:
        """Values of an output as they are in the data."""
        column = self.outputs[output]
        return self.offset[column] + self.scale[column] * values

    def _windows(self, rows: np.ndarray, start: np.ndarray, seq_length: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows of `rows` (n, C) from the places `start` (B,): inputs (T, B, I), targets (T, B, O)."""
        at = start + np.arange(seq_length)[:, None]
        return rows[at][..., self.inputs], rows[at + self.horizon][..., self.outputs]

    def draw(self, rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows that lie wholly in the part for training, each from a random place."""
        start = rng.integers(0, self.training - seq_length - self.horizon + 1, batch_size)
        return self._windows(self.values[: self.training], start, seq_length)

    def draw_validation(
        self, rng: np.random.Generator, seq_length: int, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Windows that lie wholly in the part that is held back, the end: evenly over it, whatever `rng` says, so that
        no loss is better by luck; where they are fewer than asked for, all of them."""
        count = self.held - seq_length - self.horizon + 1
        start = (2 * np.arange(batch_size) + 1) * count // (2 * batch_size)
        return self._windows(self.values[self.training :], start, seq_length)

    def _losses(self, seq_length: int) -> tuple[float, float]:
        """The mean over all windows of the part held back (without one, of all rows): of repeating the last value, and
        of training's mean. Windows overlap, so that rows near an end of the part count less."""
        seen = self.values[: self.training, self.outputs]
        rows = self.values[self.training :, self.outputs] if self.held else seen
        right = rows[self.horizon :]
        place, steps = np.arange(len(right)), min(seq_length, len(right))
        windows = np.minimum(np.minimum(place, place[::-1]) + 1, min(steps, len(right) - steps + 1))  # with this target
        with np.errstate(over="ignore"):
            squares = [(right - guess) ** 2 for guess in (rows[: -self.horizon], seen.mean(axis=0))]
            persistence, variance = (float(np.average(each.mean(axis=1), weights=windows)) for each in squares)
        return persistence, variance

    def task(self) -> Task:
        losses = lru_cache(maxsize=64)(self._losses)
        lines: dict[str, Callable[[int], float]] = {
            "last value again": lambda seq_length: losses(seq_length)[0],
            "guessing the mean": lambda seq_length: losses(seq_length)[1],
        }
        if not set(self.outputs) <= set(self.inputs):  # a network that does not hear the last value cannot repeat it
            lines = dict(reversed(lines.items()))
        (first, loss), *others = lines.items()
        parts = [self.training, *([self.held] if self.held else [])]
        return Task(
            label=self.label or "own series",
            meaning=LATER if self.horizon > 1 else NEXT,
            source=SOURCE,
            input_size=len(self.inputs),
            output_size=len(self.outputs),
            loss="mse",
            every_step=True,
            draw=self.draw,
            trivial_loss={"mse": loss},
            baseline_label=first,
            references={label: {"mse": line} for label, line in others},
            draw_validation=self.draw_validation if self.held else None,
            overlapping=True,
            generates=self.horizon == 1 and self.inputs == self.outputs,
            max_length=min(parts) - self.horizon,
        )


def series(
    source: Any,
    columns: Iterable[str] | str | None = None,
    target: Iterable[str] | str | None = None,
    horizon: int = 1,
    normalise: str = "standard",
    validation: float = 0.2,
    missing: str = "refuse",
    encoding: str | None = None,
    label: str | None = None,
    most_bytes: int = MOST_BYTES,
) -> OwnTask:
    """A task of a series of one's own, to be used as `Experiment(task=series("prices.csv"), seq_length=100, …)`.

    source: the path of a CSV, its bytes or the open file, an array (N,) or (N, C), a pandas frame; rows are successive
    times. Separator (comma, semicolon, tab, bar), decimal comma, header and encoding are found. columns: what the
    network hears, by name; None: all columns of numbers but those that count the rows or never change. target: what it
    has to predict, `horizon` rows ahead; None: all that it hears. normalise: "standard" (mean 0, variance 1), "minmax"
    (0 to 1) or "none", fitted on the training part alone. The last share `validation` of the rows is kept for
    validation (0: none). missing: "refuse" rows that lack a number, or have a word in its place, "drop" them, or
    "interpolate", a straight line between the neighbours; at an end of the training or the validation part the nearest
    value again. A sequence is a window of seq_length rows, for training from a random place; for validation they are
    evenly spread: the shorter part, less the horizon, is the longest that can be.

    `.data.notes` say what was found and left out; `.data.own_units` takes values back to the data's units. Raises
    ValueError in one sentence with the column, the line and what is allowed; OSError where a path cannot be opened.
    """
    _one_of("normalise", normalise, NORMALISE)
    _one_of("missing", missing, MISSING)
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or not 1 <= horizon <= MOST_HORIZON:
        raise Refused("choice", name="horizon", found=plain(repr(horizon)), allowed=f"1 to {MOST_HORIZON:,}")
    share = share_of(validation)
    asked = {"columns": _names_of("columns", columns), "target": _names_of("target", target)}
    found = table_of(source, encoding, label, most_bytes)
    heard, predicted = chosen(found, asked["columns"], asked["target"])
    used = [*heard, *(name for name in predicted if name not in heard)]
    values = found.values[:, [found.columns.index(name) for name in used]]
    if missing == "refuse" and (words := next((found.words[name] for name in used if name in found.words), None)):
        raise Refused("no_number", **words.values)
    values, lines, notes = _whole(used, values, found.lines, missing, share)
    training = _split(found, len(values), share, int(horizon))
    seen = values[:training]
    offset, scale = _scale(used, seen, normalise)
    with np.errstate(over="ignore"):
        scaled = (values - offset) / scale
    _check_size(used, scaled, lines)
    for array in (scaled, offset, scale):
        array.setflags(write=False)
    given = {"columns": asked["columns"], "target": asked["target"], "horizon": int(horizon), "normalise": normalise,
             "validation": share, "missing": missing, "encoding": encoding}  # fmt: skip
    usual = {"columns": None, "target": None, "horizon": 1, "normalise": "standard", "validation": 0.2,
             "missing": "refuse", "encoding": None}  # fmt: skip
    path = repr(found.label) if found.label else "DATA"
    recipe = ", ".join([path, *(f"{key}={value!r}" for key, value in given.items() if value != usual[key])])
    return own_task(
        Series(
            values=scaled,
            columns=tuple(used),
            inputs=tuple(used.index(name) for name in heard),
            outputs=tuple(used.index(name) for name in predicted),
            horizon=int(horizon),
            training=training,
            offset=offset,
            scale=scale,
            label=found.label,
            notes=(*found.notes, *notes),
            recipe=f"engine.series({recipe})",
        )
    )


def table_of(source: Any, encoding: str | None = None, label: str | None = None, most_bytes: int = MOST_BYTES) -> Table:
    """The columns of whatever `series` takes. Raises Refused."""
    if isinstance(source, Table):
        return source
    given = "" if label is None else file_label(label)
    pandas = sys.modules.get("pandas")  # whoever has a frame has imported it
    if pandas is not None and isinstance(source, pandas.DataFrame | pandas.Series):
        frame = source.to_frame() if source.ndim == 1 else source
        return of_frame(frame, given)
    if isinstance(source, list | tuple) or hasattr(source, "__array__"):
        values = as_array("source", source)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[1] == 0 or values.dtype.kind not in "fiub":
            raise Refused("array", found=plain(f"shape {values.shape}, {values.dtype}"))
        check_width(values.shape[1], quote(given or NAMELESS))
        made = [str(c + 1) for c in range(values.shape[1])]
        with np.errstate(over="ignore"):  # what float64 has no room for is infinite, which is refused by its name
            return Table(given, made, values.astype(np.float64), np.arange(1, len(values) + 1))
    try:
        return table(content(source, encoding, label_of(source) if label is None else label, most_bytes))
    except Refused as refused:
        if refused.said.name == "no_text":  # more is allowed here
            raise Refused("no_source", **refused.said.values) from None
        raise


def chosen(found: Table, columns: list[str] | None, target: list[str] | None) -> tuple[list[str], list[str]]:
    """The names of what is heard and what is predicted. Raises Refused for one that is not there, or of no numbers."""
    for what, asked in (("columns", columns), ("target", target)):
        for k, name in enumerate(asked or ()):
            if name in asked[:k]:  # type: ignore[index]
                raise Refused("twice", name=what, column=quote(name))
            if name in found.columns:
                continue
            raise Refused("not_there", name=what, column=quote(name), file=found.file, names=names(found.columns))
    usual = [name for name in found.columns if name not in found.left]
    if columns is None and not usual:
        kept = [said.name for name, said in found.left.items() if name in found.columns]
        if kept and set(kept) == {"left_constant"}:
            raise Refused("all_constant", file=found.file)
        if kept and not target:
            raise Refused("only_rows", file=found.file, names=names(found.columns))
        if not kept:
            raise Refused("no_columns", file=found.file, names=names(list(found.left)))
    heard = (usual or list(found.columns)) if columns is None else columns
    if not heard or (target is not None and not target):
        raise Refused("choice", name="target" if heard else "columns", found="[]", allowed=names(found.columns))
    return heard, target if target is not None else heard


def _names_of(name: str, asked: Any) -> list[str] | None:
    """The columns that an option names."""
    if asked is None or isinstance(asked, str):
        return None if asked is None else [asked]
    if not isinstance(asked, Iterable):
        raise Refused("choice", name=name, found=plain(repr(asked)), allowed="names of columns")
    return [str(column) for column in asked]


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise Refused("choice", name=name, found=plain(repr(value)), allowed=", ".join(allowed))


def _whole(
    used: list[str], values: np.ndarray, lines: np.ndarray, missing: str, share: float
) -> tuple[np.ndarray, np.ndarray, list[Said]]:
    """(N, C) finite, with nothing missing; where each row stands; and what was done about what was missing."""
    if (bad := np.isinf(values)).any():
        row, c = (int(i) for i in np.argwhere(bad)[0])
        raise Refused("infinite", column=quote(used[c]), line=f"{lines[row]:,}")
    _check_size(used, values, lines)
    lacking = np.isnan(values)
    if not lacking.any():
        return values, lines, []
    rows = len(values)
    if missing == "refuse":
        row, c = (int(i) for i in np.argwhere(lacking)[0])
        raise Refused(
            "missing", column=quote(used[c]), count=f"{int(lacking[:, c].sum()):,}", rows=f"{rows:,}",
            line=f"{lines[row]:,}",
        )  # fmt: skip
    if missing == "drop":
        kept = ~lacking.any(axis=1)
        return values[kept], lines[kept], [Said("dropped", count=f"{int((~kept).sum()):,}", rows=f"{rows:,}")]
    filled, cut = values.copy(), rows - round(share * rows)
    for part, stretch in (("training", slice(0, cut)), ("validation", slice(cut, rows))):  # none looks into the other
        for c, name in enumerate(used):
            gone, at = lacking[stretch, c], np.arange(rows)[stretch]
            if not gone.any():
                continue
            if gone.all():
                raise Refused("all_missing", column=quote(name), part=part)
            filled[stretch, c][gone] = np.interp(at[gone], at[~gone], values[stretch, c][~gone])
    return filled, lines, [Said("filled", count=f"{int(lacking.sum()):,}")]


def _split(found: Table, rows: int, share: float, horizon: int) -> int:
    """How many rows are for training. Raises Refused where a part is too short for two timesteps."""
    held = round(share * rows)
    least = horizon + 2
    if rows - held < least or (share and held < least):
        raise Refused("few_rows", file=found.file, training=f"{rows - held:,}", held=f"{held:,}",
                      least=least, horizon=horizon)  # fmt: skip
    return rows - held


def _scale(used: list[str], seen: np.ndarray, normalise: str) -> tuple[np.ndarray, np.ndarray]:
    """(C,), (C,): offset and scale, of the training part (n, C)."""
    low, high = seen.min(axis=0), seen.max(axis=0)
    flat = high - low <= 1e-12 * np.maximum(abs(low), abs(high))  # no more than roundings
    if flat.any():
        c = int(flat.argmax())
        raise Refused("constant", column=quote(used[c]), value=f"{low[c]:.6g}")
    if normalise == "none":
        return np.zeros(seen.shape[1]), np.ones(seen.shape[1])
    if normalise == "minmax":
        return low, high - low
    shares = (seen - low) / (high - low)  # squares of very small numbers would be 0
    return low + (high - low) * shares.mean(axis=0), (high - low) * shares.std(axis=0)


def _check_size(used: list[str], values: np.ndarray, lines: np.ndarray) -> None:
    """Raises Refused where a number is so large that its square would be none."""
    large = abs(values) > LARGEST
    if large.any():
        row, c = (int(i) for i in np.argwhere(large)[0])
        raise Refused(
            "huge", column=quote(used[c]), value=f"{values[row, c]:.3g}", line=f"{lines[row]:,}", most=f"{LARGEST:g}"
        )
