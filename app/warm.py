"""`python -m app.warm`: compile all cells, types, tasks, optimizers and clippings into the disk cache, in no hurry."""

import os
from itertools import product

import engine


def everything() -> list[engine.Experiment]:
    """One experiment for each thing that may have to be compiled; cells first, for they take longest."""
    default = engine.Experiment()
    cells = [default.replace(dtype=dtype, cell=cell) for dtype, cell in product(("float64", "float32"), engine.CELLS)]
    cells += [default.replace(dtype=dtype, cell="gru", reset_after=False) for dtype in ("float64", "float32")]
    others = product(cells, engine.TASKS, engine.OPTIMIZERS, engine.CLIPS)
    return cells + [e.replace(task=task, optimizer=optimizer, clip=clip) for e, task, optimizer, clip in others]


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    for experiment in everything():
        engine.warm_up(experiment)
