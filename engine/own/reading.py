"""Bytes of unknown making as text and as columns of numbers: encoding, separator, decimal comma, header are found."""

import codecs
import csv
import io
import os
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.own.said import Refused, Said, file_label, plain, quote

NAMELESS = "data"  # what data without a name are called
MOST_BYTES = 1 << 28  # of a file
LARGEST_FILE = 1 << 32  # that may be asked for
MOST_COLUMNS = 1000
MOST_CELLS = 1 << 26  # fields of a table
SAMPLE = 1 << 16  # characters from which the form of a table is found,
SAMPLE_LINES = 100  # and lines of them
CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x19\x1b-\x1f\x7f\ufffe\uffff]"
)  # no text has them; but for TAB, LF, VT, FF, CR, SUB
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
_PATTERNS = {" ": r"\s+"}
# Digits can be matched in one way only: with \d+\.?\d* the time goes with the square of a cell's length.
NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
COMMA_NUMBER = re.compile(r"\s*[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?\s*")
DATE = re.compile(r"\s*(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}|\d{4}[-/]\d{1,2}\b)[^,;|\t]*")
MISSING = frozenset(
    ("", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>", "?", "-", "--", "#na", "1.#qnan", "-1.#ind")
)


@dataclass
class Content:
    """What somebody handed over, as text; `label`: the name of the file."""

    text: str
    label: str
    notes: list[Said] = field(default_factory=list)


def label_of(source: Any) -> str:
    """The name of a file without its folders; "" where it has none."""
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    return file_label(os.path.basename(os.fspath(name)).strip()) if isinstance(name, str | os.PathLike) else ""


def content(source: Any, encoding: str | None = None, label: str | None = None, most: int = MOST_BYTES) -> Content:
    """The text of a path, of bytes or of an open file. Raises Refused (OSError where a path cannot be opened)."""
    label = file_label(label if label is not None else label_of(source))
    shown = quote(label or NAMELESS)
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or not 1 <= most <= LARGEST_FILE:
        raise Refused("choice", name="most_bytes", found=plain(repr(most)), allowed=f"1 to {LARGEST_FILE:,}")
    if not isinstance(encoding, str | None):
        raise Refused("choice", name="encoding", found=plain(repr(encoding)), allowed="utf-8, utf-16, gb18030, latin-1")
    if isinstance(source, str | os.PathLike):
        try:
            opened = open(source, "rb")  # noqa: SIM115: what opening raises is told apart from what reading does
        except ValueError:  # a path with NUL, or with half a character
            raise Refused("no_source", found=quote(os.fspath(source))) from None
        with opened:
            data = opened.read(most + 1)
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source[: most + 1])
    elif callable(getattr(source, "read", None)):
        data = source.read(most + 1)
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        if not isinstance(data, bytes | bytearray):
            raise Refused("no_source", found=plain(f"read() gives {type(data).__name__}"))
    else:
        raise Refused("no_source", found=plain(type(source).__name__))
    if len(data) > most:
        whole = most % (1 << 20) == 0
        raise Refused("large" if whole else "large_bytes", file=shown, most=f"{most >> 20 if whole else most:,}")
    text, found = decoded(data, shown, encoding)
    if not text.strip("\x00\x1a \t\r\n\f\v\ufeff"):
        raise Refused("empty", file=shown)
    return Content(text, label, [] if found == "utf-8" else [Said("read_as", encoding=found)])


def decoded(data: bytes, file: str = NAMELESS, encoding: str | None = None) -> tuple[str, str]:
    """The text of these bytes, and the encoding: the one given, or else found. Raises Refused."""
    names = [encoding] if encoding else _encodings(data)
    for name in names:
        if not is_encoding(name):
            raise Refused("unknown_encoding", encoding=quote(name))
        try:
            text = codecs.decode(data, name)
        except UnicodeError as error:
            if encoding:
                at = getattr(error, "start", 0)
                raise Refused("encoding", file=file, encoding=quote(name), at=f"{at:,}") from None
            continue
        text = text.removeprefix("\ufeff").removesuffix("\x1a")
        if len(CONTROLS.findall(text[:SAMPLE])) > len(text[:SAMPLE]) // 100 or "\x00" in text:
            break
        return text, name.removesuffix("-sig")
    raise Refused("binary", file=file)


def is_encoding(name: str) -> bool:
    """Does this name a way to write text? Python's codecs that are none (zlib, bz2, hex) must not begin: a few kB may
    hold gigabytes. Those of names in the internet take the square of a text's length."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):  # a name with NUL, or with letters that are not ASCII
        return False
    return found._is_text_encoding and found.name not in ("idna", "punycode", "undefined")


def _encodings(data: bytes) -> list[str]:
    """What these bytes may be, the likeliest first."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return [name]
    start = data[: SAMPLE & ~1]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) > 0.3 * len(start) / 2 and min(even, odd) < 0.05 * len(start) / 2:  # Latin letters in UTF-16
        return ["utf-16-be" if even > odd else "utf-16-le"]
    return ["utf-8", *(["gb18030"] if _may_be_chinese(data[:SAMPLE]) else []), "cp1252", "latin-1"]


def _may_be_chinese(data: bytes) -> bool:
    """Are there many bytes that are no ASCII, or do they come in runs of even length? Letters with accents are few, and
    mostly stand alone."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", data)]
    return sum(runs) > 0.25 * len(data) or sum(n for n in runs if n % 2 == 0) > 0.7 * sum(runs)


@dataclass
class Table:
    """Columns of numbers: values[:, c] (N,) float64, NaN where nothing stood. `left`: those that are none, and why."""

    label: str
    columns: list[str]
    values: np.ndarray  # (N, C)
    left: dict[str, Said] = field(default_factory=dict)
    notes: list[Said] = field(default_factory=list)
    first_line: int = 1  # of the file, where row 0 stands

    @property
    def file(self) -> str:
        """What a sentence calls it."""
        return quote(self.label or NAMELESS)


@dataclass(frozen=True)
class Form:
    """How a table is written."""

    separator: str
    decimal: str
    header: tuple[str, ...] | None
    width: int
    head: int  # lines before the first row


def form_of(text: str, file: str) -> Form:
    """Found from the first lines. Raises Refused."""
    sample = text[:SAMPLE]
    lines = sample.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(text) > SAMPLE:
        lines.pop()  # cut
    skipped = 0
    while skipped < len(lines) and (not lines[skipped].strip() or lines[skipped].startswith("#")):
        skipped += 1
    lines = [line for line in lines[skipped : skipped + SAMPLE_LINES] if line.strip()]
    if not lines and len(text) <= SAMPLE:
        raise Refused("empty", file=file)
    if len(text) > SAMPLE and len(lines) < 2:  # what a header is shows in the line below it
        raise Refused("long_line", file=file, line=f"{skipped + len(lines) + 1:,}", most=f"{SAMPLE:,}")
    split = {separator: _fields(lines, separator) for separator in SEPARATORS}
    separator = max(split, key=lambda s: _fits(split[s], s))  # of equals the first
    rows, decimal = split[separator], "."
    if separator != ",":
        cells = [cell for row in rows for cell in row]
        commas, points = (sum(bool(r.fullmatch(c)) and mark in c for c in cells) for r, mark in _MARKS)
        decimal = "," if commas > points else "."
    check_width(len(rows[0]), file)  # before each is looked at in each row
    below = rows[1:]
    is_header = any(
        not _is_value(name, decimal)
        and name.strip().lower() not in MISSING
        and 2 * sum(_is_value(row[c], decimal) for row in below if c < len(row)) > len(below)
        for c, name in enumerate(rows[0])
    )
    width = len(rows[0])
    if is_header and below and all(len(row) == width + 1 and not row[-1].strip() for row in below):
        width += 1  # a separator at the end of each row
    check_width(width, file)
    head = skipped + (1 + "".join(rows[0]).count("\n") if is_header else 0)
    return Form(separator, decimal, tuple(rows[0]) if is_header else None, width, head)


def check_width(columns: int, file: str) -> None:
    """Raises Refused for more columns than are read."""
    if columns > MOST_COLUMNS:
        raise Refused("wide", file=file, found=f"{columns:,}", most=f"{MOST_COLUMNS:,}")


_MARKS = ((COMMA_NUMBER, ","), (NUMBER, "."))


def _fields(lines: list[str], separator: str) -> list[list[str]]:
    if separator == " ":
        return [line.split() for line in lines]
    try:
        return [row for row in csv.reader((line + "\n" for line in lines), delimiter=separator) if row]
    except csv.Error:  # a field that is too long: no table with this separator
        return [[line] for line in lines]


def _fits(rows: list[list[str]], separator: str) -> tuple[bool, float, bool, float]:
    """How well a separator does: does it split at all; how many lines have as many fields as most, in tenths; has the
    first; and how many fields are numbers or dates: "1,5;2,5" can be split in two ways, evenly both."""
    counts = np.bincount([min(len(row), MOST_COLUMNS) for row in rows])
    most = int(counts[1:].argmax()) + 1
    cells = [cell for row in rows[1:] or rows for cell in row]
    values = sum(_is_value(cell, "." if separator == "," else ",") for cell in cells)
    share = round(float(counts[most]) / len(rows), 1) if most > 1 else 0.0
    return most > 1, share, len(rows[0]) == most, values / len(cells)


def _is_value(cell: str, decimal: str) -> bool:
    return bool(
        (NUMBER if decimal == "." else COMMA_NUMBER).fullmatch(cell) or NUMBER.fullmatch(cell) or DATE.fullmatch(cell)
    )


def table(read: Content) -> Table:
    """The columns of a CSV. Raises Refused."""
    import pandas as pd

    file = quote(read.label or NAMELESS)
    form = form_of(read.text, file)
    rows = read.text.count("\n") or read.text.count("\r")
    if (rows + 1) * form.width > MOST_CELLS:
        raise Refused("cells", file=file, rows=f"{rows:,}", columns=form.width, most=f"{MOST_CELLS:,}")
    try:
        frame = pd.read_csv(
            io.BytesIO(read.text.encode("utf-8", "surrogatepass")), sep=_PATTERNS.get(form.separator, form.separator),
            decimal=form.decimal, header=None, names=list(range(form.width)), skiprows=form.head,
            encoding="utf-8", encoding_errors="replace", engine="c", na_values=["?", "-", "--"], skipinitialspace=True,
        )  # fmt: skip
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame({c: [] for c in range(form.width)}, dtype=float)
    except (pd.errors.ParserError, ValueError, OverflowError) as error:
        _explain(str(error), file)
        raise Refused("binary", file=file) from None
    if not isinstance(frame.index, pd.RangeIndex):  # what is too much of every row has become its index
        found = form.width + frame.index.nlevels
        raise Refused("ragged", line=f"{form.head + 1:,}", file=file, found=found, expected=form.width)
    given = [*(form.header or ()), *[""] * form.width][: form.width]
    made = of_frame(frame.set_axis(_distinct(given), axis=1), read.label, form.head + 1)
    notes = [*read.notes]
    if form.separator != ",":
        notes.append(Said("separated", separator=SEPARATORS[form.separator]))
    if form.decimal == ",":
        notes.append(Said("decimal_comma"))
    if form.header is None:
        notes.append(Said("no_header"))
    elif repeated := len(form.header) - len({name.strip() for name in form.header}):
        notes.append(Said("renamed", count=repeated))
    made.notes = [*notes, *made.left.values()]
    return made


def _explain(error: str, file: str) -> None:
    """Raises Refused with what pandas found wrong, where it is one of what it says."""
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error):
        expected, line, saw = found.groups()
        raise Refused("ragged", line=f"{int(line):,}", file=file, found=saw, expected=expected) from None
    if found := re.search(r"EOF inside string starting at row (\d+)", error):
        raise Refused("quote", file=file, line=f"{int(found[1]) + 1:,}") from None


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


def of_frame(frame: Any, label: str = "", first_line: int = 1) -> Table:
    """The columns of numbers of a pandas frame with these names, and why others are none. Raises Refused."""
    check_width(frame.shape[1], quote(label or NAMELESS))
    kept: dict[str, np.ndarray] = {}
    left: dict[str, Said] = {}
    for c, name in enumerate(_distinct([str(name) for name in frame.columns])):
        values = _numbers(name, frame.iloc[:, c], first_line)
        if isinstance(values, Said):
            left[name] = values
        elif np.isnan(values).all():
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
    return Table(label, columns, values, left, list(left.values()), first_line)


def _numbers(name: str, column: Any, first_line: int) -> np.ndarray | Said:
    """(N,) float64, or why the column is none of numbers."""
    if column.dtype.kind in "fiub":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if column.dtype.kind in "mMc":
        return Said("left_dates" if column.dtype.kind != "c" else "left_text", column=quote(name))
    start = column.dropna().head(SAMPLE_LINES)
    if len(start) and np.isnan(_floats(start)).all():
        return _left(name, str(start.iloc[0]))
    values = _floats(column)
    words = np.isnan(values) & column.notna().to_numpy()
    if words.any():
        words &= ~column.astype(str).str.strip().str.lower().isin(MISSING).to_numpy()
    if not words.any():
        return values
    row = int(words.argmax())
    text = str(column.iloc[row])
    if np.isfinite(values).mean() > 0.5:
        return Said("left_some_text", column=quote(name), text=quote(text), line=f"{row + first_line:,}")
    return _left(name, text)


def _floats(column: Any) -> np.ndarray:
    """(N,) of a column of texts or objects, NaN where one is no number."""
    import pandas as pd

    try:
        return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
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
