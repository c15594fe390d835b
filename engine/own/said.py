"""What is said of one's own files: whole sentences by name, with named places, so that a page can say them in another
language. What a file or its reader wrote is quoted: short and printable, and no more than text."""

import re
from numbers import Real
from typing import Any

LONGEST = 40  # characters of a quotation

SAID = {
    "empty": "{file} is empty.",
    "large": "{file} is larger than {most} MB, the most that is read.",
    "large_bytes": "{file} is larger than {most} bytes, the most that is read.",
    "long_line": "The first lines of {file} are too long: line {line} does not end within {most} characters of the "
    "file's beginning.",
    "binary": "{file} is no text: it has signs that no text has. Allowed are text and tables (CSV) in UTF-8, UTF-16, "
    "GB 18030 or Latin-1.",
    "unknown_encoding": "encoding: {encoding} is not known; allowed are utf-8, utf-16, gb18030, latin-1 and others of "
    "Python's.",
    "encoding": "{file} cannot be read as {encoding}: byte {at} makes no sign there.",
    "no_text": "source: {found}; allowed are a path, bytes or an open file.",
    "no_source": "source: {found}; allowed are a path, bytes, an open file, an array of numbers or a data frame.",
    "array": "source: {found}; allowed are real numbers of shape (N,) or (N, C), a row a timestep.",
    "choice": "{name}: {found}; allowed: {allowed}.",
    "quote": "{file} has a quotation mark in line {line} that is never closed.",
    "ragged": "Line {line} of {file} has {found} fields, and the lines before it have {expected}.",
    "wide": "{file} has {found} columns; at most {most} are read.",
    "cells": "{file} has {rows} rows of {columns} columns; at most {most} fields are read.",
    "no_columns": "{file} has no column of numbers. It has {names}.",
    "only_rows": "The columns of numbers in {file} count the rows or never change. To use one of them nevertheless, "
    "choose it by its name: {names}.",
    "all_constant": "Every column of numbers in {file} has the same value in all rows: there is nothing to predict.",
    "not_there": "{name}: {column} is no column of {file}. It has {names}.",
    "twice": "{name}: {column} is named twice.",
    "no_number": "Column {column} is not of numbers alone: line {line} has {text}. Leave such rows out (missing=drop), "
    "or fill them in from their neighbours (missing=interpolate).",
    "all_missing": "Column {column} has no number in the part for {part}.",
    "missing": "In column {column} {count} of {rows} values are missing, the first in line {line}. Leave such rows out "
    "(missing=drop), or fill them in from their neighbours (missing=interpolate).",
    "infinite": "Column {column} has a value that is infinite, in line {line}.",
    "huge": "Column {column} has a value as large as {value}, in line {line}; allowed are up to {most}.",
    "constant": "Column {column} is {value} in all rows of the part for training: there is nothing to learn from it.",
    "few_rows": "{file} is too short: {training} of its rows are for training and {held} for validation, and each part "
    "needs {least} or more to predict {horizon} ahead.",
    "few_characters": "{file} is too short: {training} of its characters are for training and {held} for validation, "
    "and each part needs {least} or more.",
    "one_character": "{file} has no two different characters: there is nothing to predict.",
    "long_text": "{file} has {count} characters; at most {most} are read.",
    # what was found out, and done about it
    "read_as": "Read as {encoding}.",
    "separated": "Columns are separated by {separator}.",
    "decimal_comma": "Numbers have a decimal comma.",
    "no_header": "The first line has numbers: the columns have no names.",
    "left_dates": "{column} has dates: left out.",
    "left_text": "{column} has words: left out.",
    "words": "{column} has words among its numbers ({text} in line {line}): they count as missing.",
    "left_clock": "{column} counts the rows: left out.",
    "left_constant": "{column} is always {value}: left out.",
    "left_empty": "{column} is empty: left out.",
    "renamed": "{count} columns had the name of another and have a number behind it now.",
    "dropped": "{count} of {rows} rows lacked a number and are left out: what stands beside each other may lie apart.",
    "filled": "{count} missing numbers lie on straight lines between their neighbours, or at an end of the part for "
    "training or validation repeat the nearest one.",
    "rare": "{kinds} rare characters, {share}% of the text, are read as {sign}.",
}
WORDS = (  # that stand in the places of sentences
    "training", "validation", "commas", "semicolons", "tabs", "bars", "spaces", "data",
)  # fmt: skip

MEANINGS = (  # what the rows of own data say of themselves
    NEXT := "A series of one's own comes in: at every step, predict its next value.",
    LATER := "A series of one's own comes in: at every step, predict what it is some steps later.",
    CHARACTER := "Characters of a text of one's own come in; at every step, predict the next one.",
    SOURCE := "one's own data",
)


class Said:
    """One of these sentences. `message` and `values` are apart for whoever says it in another language."""

    def __init__(self, name: str, /, **values: Any) -> None:
        self.name, self.message, self.values = name, SAID[name], values

    def __str__(self) -> str:
        return self.message.format(**self.values)

    def __repr__(self) -> str:
        return f"Said({str(self)!r})"


class Refused(ValueError):
    """Data that are no task: `said` is why."""

    def __init__(self, name: str, /, **values: Any) -> None:
        self.said = Said(name, **values)
        super().__init__(str(self.said))


def plain(text: object, longest: int = LONGEST) -> str:
    """A text of a file as it may be shown: in one line, printable and short."""
    shown = "".join(c if c.isprintable() else "·" for c in str(text)[: longest + 1])
    return f"{shown[: longest - 1]}…" if len(shown) > longest else shown


def file_label(text: object) -> str:
    """The name of a file as a task has it: short, without what is more than a character to HTML, Plotly or Python."""
    return re.sub(r'[<>&"`\\]', "_", plain(text))


def quote(text: object) -> str:
    return f"“{plain(text)}”"


def share_of(validation: Any) -> float:
    """The share of the data that is held back. Raises Refused."""
    real = isinstance(validation, Real) and not isinstance(validation, bool)
    if not real or not 0 <= float(validation) <= 0.9:
        raise Refused("choice", name="validation", found=plain(repr(validation)), allowed="0 to 0.9")
    return float(validation)


def names(found: list[str], most: int = 8) -> str:
    """Column names in a sentence; of many the first."""
    shown = ", ".join(quote(name) for name in found[:most])
    return f"{shown}, …" if len(found) > most else shown or "none"
