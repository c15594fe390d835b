"""The recurrent cells: one file a cell, one line each in `CELLS`; other forms of a cell in `KINDS`."""

from engine.cells import gru, gru_before, lstm, rnn
from engine.cells.cell import Cell

CELLS: dict[str, Cell] = {"rnn": rnn.CELL, "lstm": lstm.CELL, "gru": gru.CELL}
KINDS: dict[str, Cell] = {**CELLS, "gru_before": gru_before.CELL}  # every form that is computed: see Experiment.kind

__all__ = ["CELLS", "KINDS", "Cell"]
