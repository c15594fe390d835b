"""How a table is written, found from its first lines: separator, decimal comma, header; and where its rows lie."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from engine.own.reading import SAMPLE
from engine.own.said import Refused

MOST_COLUMNS = 1000
SAMPLE_LINES = 100  # from which the form is found
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
# Digits can be matched in one way only: with \d+\.?\d* the time goes with the square of a cell's length.
NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
COMMA_NUMBER = re.compile(r"\s*[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?\s*")
DATE = re.compile(r"\s*(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}|\d{4}[-/]\d{1,2}\b)[^,;|\t]*")
MISSING = frozenset(
    ("", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>", "?", "-", "--", "#na", "1.#qnan", "-1.#ind")
)


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


def body_of(text: str, form: Form) -> str:
    """The text of the rows. A column alone has an empty line where a value is missing, but none at its end."""
    ends = islice(re.finditer(r"\r\n?|\n", text), form.head)
    body = text[max((end.end() for end in ends), default=0) :]
    return body if form.width > 1 else body.rstrip()


def records(body: str, form: Form) -> Iterator[tuple[int, int]]:
    """Of each row of a body how many lines lie above it, and its fields: a quoted one may have several lines, and
    empty lines between rows are none."""
    file, blank, line = io.StringIO(body, newline=None), " \t".replace(form.separator, "") + "\n", ""
    if form.separator == " ":
        yield from ((above, len(line.split())) for above, line in enumerate(file) if form.width == 1 or line.strip())
        return

    def lines() -> Iterator[str]:
        nonlocal line
        for line in file:  # noqa: UP028 - the last one is kept
            yield line

    reader, above = csv.reader(lines(), delimiter=form.separator, skipinitialspace=True), 0
    try:
        for row in reader:
            if form.width == 1 or reader.line_num > above + 1 or line.strip(blank):
                yield above, len(row)
            above = reader.line_num
    except csv.Error:  # a field that is too long
        return


def lines_of(body: str, form: Form, rows: int) -> np.ndarray:
    """(rows,): the line of the file at which each row of its body begins."""
    first, whole = form.head + 1, body.rstrip()
    if rows == 1 + whole.count("\n") + whole.count("\r") - whole.count("\r\n"):
        return first + np.arange(rows)
    found = np.fromiter((above for above, _fields in records(body, form)), np.int64)
    return first + (found if len(found) == rows else np.arange(rows))


def ragged(body: str, form: Form) -> tuple[int, int] | None:
    """The line and the fields of the first row that has too many."""
    return next(((form.head + 1 + above, n) for above, n in records(body, form) if n > form.width), None)
