"""What every row of a table carries for a reader: its name in a menu, what it does, and where it comes from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    label: str
    meaning: str
    source: str
