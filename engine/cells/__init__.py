"""The recurrent cells: one file a cell, one line each in `CELLS`."""

from engine.cells import gru, lstm, rnn
from engine.cells.cell import Cell

CELLS: dict[str, Cell] = {"rnn": rnn.CELL, "lstm": lstm.CELL, "gru": gru.CELL}
KINDS: dict[str, Cell] = {**CELLS}  # every form that is computed: see Experiment.kind

__all__ = ["CELLS", "KINDS", "Cell"]
