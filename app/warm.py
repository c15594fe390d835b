"""`python -m app.warm`: compile all cells, types, optimizers and clippings into the disk cache, in no hurry."""

import os
from itertools import product

import engine


def everything() -> list[engine.Experiment]:
    """One experiment for each thing that may have to be compiled; cells first, for they take longest.

    No kernel knows its task, so one that is embedded is enough.
    """
    default = engine.Experiment()
    forms = [default.replace(cell=cell) for cell in engine.CELLS] + [default.replace(cell="gru", reset_after=False)]
    cells = [e.replace(dtype=dtype) for dtype, e in product(("float64", "float32"), forms)]
    embedded = [e.replace(task="copy_memory", embedding_dim=2) for e in cells]
    steps = product(cells, engine.OPTIMIZERS, engine.CLIPS)
    updates = [e.replace(optimizer=optimizer, clip=clip) for e, optimizer, clip in steps]
    return [*cells, *(e.replace(omega=1.0) for e in cells if e.cell == "rnn"), *embedded, *updates]


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    for experiment in everything():
        engine.warm_up(experiment)
