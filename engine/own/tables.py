"""A table as columns of numbers, from a text (CSV) or a pandas frame; and why other columns are none."""

import io
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.own.forms import (
    DATE,
    MISSING,
    NUMBER,
    SAMPLE_LINES,
    SEPARATORS,
    Form,
    body_of,
    check_width,
    form_of,
    lines_of,
    ragged,
    records,
)
from engine.own.reading import NAMELESS, Content
from engine.own.said import Refused, Said, plain, quote

MOST_CELLS = 1 << 26  # fields of a table
_PATTERNS = {" ": r"\s+"}


@dataclass
class Table:
    """Columns of numbers: values[:, c] (N,) float64, NaN where nothing stood, or a word. `left`: those that are none,
    and why; `words`: those with words, and the first of these."""

    label: str
    columns: list[str]
    values: np.ndarray  # (N, C)
    lines: np.ndarray  # (N,): of the file, where each row stands
    left: dict[str, Said] = field(default_factory=dict)
    words: dict[str, Said] = field(default_factory=dict)
    notes: list[Said] = field(default_factory=list)

    @property
    def file(self) -> str:
        """What a sentence calls it."""
        return quote(self.label or NAMELESS)


def table(read: Content) -> Table:
    """The columns of a CSV. Raises Refused."""
    import pandas as pd

    file = quote(read.label or NAMELESS)
    form = form_of(read.text, file)
    rows = read.text.count("\n") or read.text.count("\r")
    if (rows + 1) * form.width > MOST_CELLS:
        raise Refused("cells", file=file, rows=f"{rows:,}", columns=form.width, most=f"{MOST_CELLS:,}")
    body = body_of(read.text, form)
    try:
        frame = pd.read_csv(
            io.BytesIO(body.encode("utf-8", "surrogatepass")), sep=_PATTERNS.get(form.separator, form.separator),
            decimal=form.decimal, header=None, names=list(range(form.width)), skip_blank_lines=form.width > 1,
            encoding="utf-8", encoding_errors="replace", engine="c", low_memory=False, na_values=["?", "-", "--"],
            skipinitialspace=True,
        )  # fmt: skip
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame({c: [] for c in range(form.width)}, dtype=float)
    except (pd.errors.ParserError, ValueError, OverflowError) as error:
        _explain(str(error), file, body, form)
        raise Refused("binary", file=file) from None
    if not isinstance(frame.index, pd.RangeIndex):  # what is too much of every row has become its index
        line, found = ragged(body, form) or (form.head + 1, form.width + frame.index.nlevels)
        raise Refused("ragged", line=f"{line:,}", file=file, found=found, expected=form.width)
    given = [*(form.header or ()), *[""] * form.width][: form.width]
    made = of_frame(frame.set_axis(_distinct(given), axis=1), read.label, lines_of(body, form, len(frame)))
    notes = [*read.notes]
    if form.separator != ",":
        notes.append(Said("separated", separator=SEPARATORS[form.separator]))
    if form.decimal == ",":
        notes.append(Said("decimal_comma"))
    if form.header is None:
        notes.append(Said("no_header"))
    elif repeated := len(form.header) - len({name.strip() for name in form.header}):
        notes.append(Said("renamed", count=repeated))
    made.notes = [*notes, *made.notes]
    return made


def _explain(error: str, file: str, body: str, form: Form) -> None:
    """Raises Refused with what pandas found wrong, where it is one of what it says. Its lines are rows at times."""
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error):
        expected, line, saw = (int(number) for number in found.groups())
        line, saw = ragged(body, form) or (form.head + line, saw)
        raise Refused("ragged", line=f"{line:,}", file=file, found=saw, expected=expected) from None
    if found := re.search(r"EOF inside string starting at row (\d+)", error):
        *_, (above, _fields) = [(int(found[1]), 0), *records(body, form)]
        raise Refused("quote", file=file, line=f"{form.head + 1 + above:,}") from None


def _distinct(given: list[str]) -> list[str]:
    """Names of columns: each another, and none empty."""
    made: dict[str, None] = {}
    tried: dict[str, int] = {}  # the last number behind each: none is tried twice
    for c, text in enumerate(given):
        name = first = plain(text.strip()) or f"column {c + 1}"
        while name in made:
            tried[first] = tried.get(first, 1) + 1
            name = f"{first} ({tried[first]})"
        made[name] = None
    return list(made)


def of_frame(frame: Any, label: str = "", lines: np.ndarray | None = None) -> Table:
    """The columns of numbers of a pandas frame with these names, and why others are none; lines (N,): where its rows
    stand, None: they are counted. Raises Refused."""
    lines = np.arange(1, len(frame) + 1) if lines is None else lines
    check_width(frame.shape[1], quote(label or NAMELESS))
    kept: dict[str, np.ndarray] = {}
    left: dict[str, Said] = {}
    words: dict[str, Said] = {}
    for c, name in enumerate(_distinct([str(name) for name in frame.columns])):
        values, said = _numbers(name, frame.iloc[:, c], lines)
        if values is None:
            assert said is not None
            left[name] = said
            continue
        if said is not None:
            words[name] = said
        if np.isnan(values).all():
            left[name] = Said("left_empty", column=quote(name))
        elif _counts_rows(values):
            left[name] = Said("left_clock", column=quote(name))
            kept[name] = values
        elif len(values) > 1 and values.min() == values.max():
            left[name] = Said("left_constant", column=quote(name), value=f"{values[0]:.6g}")
            kept[name] = values
        else:
            kept[name] = values
    columns = list(kept)
    values = np.stack(list(kept.values()), axis=1) if kept else np.zeros((len(frame), 0))
    return Table(label, columns, values, lines, left, words, [*left.values(), *words.values()])


def _numbers(name: str, column: Any, lines: np.ndarray) -> tuple[np.ndarray | None, Said | None]:
    """(N,) float64, and the first word where there are some among the numbers; or None, and why it has no numbers."""
    if column.dtype.kind in "fiub":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)), None
    if column.dtype.kind in "mMc":
        return None, Said("left_dates" if column.dtype.kind != "c" else "left_text", column=quote(name))
    start = column.dropna().head(SAMPLE_LINES)
    if len(start) and np.isnan(_floats(start)).all():
        return None, _left(name, str(start.iloc[0]))
    values = _floats(column)
    words = np.isnan(values) & column.notna().to_numpy()
    if words.any():
        words &= ~column.astype(str).str.strip().str.lower().isin(MISSING).to_numpy()
    if not words.any():
        return values, None
    row = int(words.argmax())
    text = str(column.iloc[row])
    if np.isfinite(values).mean() > 0.5:
        return values, Said("words", column=quote(name), text=quote(text), line=f"{lines[row]:,}")
    return None, _left(name, text)


def _floats(column: Any) -> np.ndarray:
    """(N,) of a column of texts or objects, NaN where one is no number."""
    import pandas as pd

    try:
        found = pd.to_numeric(column, errors="coerce")
        if found.dtype.kind == "c":  # of objects
            return np.full(len(column), np.nan)
        return np.asarray(found.to_numpy(dtype=np.float64, na_value=np.nan))
    except OverflowError:  # a whole number with hundreds of digits
        return np.array([float(cell) if NUMBER.fullmatch(cell) else np.nan for cell in map(str, column)])


def _left(name: str, text: str) -> Said:
    """Why a column of such texts is left out."""
    return Said("left_dates" if DATE.match(text) else "left_text", column=quote(name))


def _counts_rows(values: np.ndarray) -> bool:
    """Does it go up by about the same from row to row: a number of the row, a time?"""
    if len(values) < 3 or not np.isfinite(values).all():
        return False
    with np.errstate(over="ignore"):
        steps = np.diff(values)
    return bool(steps.min() > 0 and steps.max() <= 1.2 * steps.min())
