"""One seed, separate streams of random numbers by purpose.

A change of cell, width, initialiser or optimizer must not change the data, or two runs could not be compared;
so every purpose draws from a stream of its own, and batch k is the same batch whatever was drawn before it.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    DATA = 0
    WEIGHTS = 1
    DROPOUT = 2
    VALIDATION = 3
    TRAINING_SET = 4
    ORDER = 5
    GENERATE = 6


def stream(seed: int, purpose: Purpose, *index: int) -> np.random.Generator:
    """The generator for `purpose` (and batch number, layer, tensor: whatever `index` says) under this seed."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose), *index))))
