"""One sequence of a batch as it is drawn: what the network hears, what is right, what it says. Bounded memory."""

from dataclasses import dataclass, fields

import numpy as np

import engine

MOST_CLASSES = 12  # of which every one is kept and drawn; of more than these the likeliest
LIKELIEST = 6
SAID = 60  # symbols that a network goes on to say
FORECAST = 250  # numbers, at most


@dataclass(frozen=True, eq=False)
class Shown:
    """The first sequence of a batch. T timesteps; S = T where the answer is read at every step, else 1; O outputs.

    Symbols and classes are int16 numbers of theirs, all others float32.
    """

    inputs: np.ndarray  # (T,) symbols, or (T, I) numbers
    targets: np.ndarray  # (S,) classes, or (S, O) numbers
    outputs: (
        np.ndarray
    )  # (S, O) numbers; of classes their probabilities, of more than MOST_CLASSES the LIKELIEST (S, 6)
    likeliest: np.ndarray  # (S, 6) which classes those are; (S, 0) where all are kept
    right: np.ndarray  # (S,) the probability of the right class; (0,) for numbers
    rank: np.ndarray  # (S,) how many classes are likelier than the right one; (0,) for numbers
    free: np.ndarray  # (n,) or (n, I): what the network says when it hears only itself; n = 0 where it cannot
    free_from: int  # timesteps of the sequence that it heard before
    span: tuple[float, float]  # of all numbers that were heard, right or said so far: an axis that holds still

    @property
    def of_classes(self) -> bool:
        return self.targets.ndim == 1

    @property
    def of_symbols(self) -> bool:
        return self.inputs.ndim == 1

    @property
    def size(self) -> int:
        values = [getattr(self, field.name) for field in fields(self)]
        return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


def heard_before(e: engine.Experiment) -> int | None:
    """The timesteps after which a network runs free: half of a series of numbers, a whole text; None: it cannot."""
    task = engine.TASKS[e.task]
    if not task.generates or e.steps < 2:
        return None
    return e.steps if task.symbols else max(e.steps // 2, e.steps - FORECAST)


def run_free(trainer: engine.Trainer, inputs: np.ndarray) -> np.ndarray:
    """(n, I): what the network goes on to say after a part of the first sequence of `inputs` (T, B, I)."""
    e = trainer.experiment
    heard = heard_before(e)
    if heard is None:
        return np.zeros((0, inputs.shape[2]))
    steps = (
        SAID if engine.TASKS[e.task].symbols else e.steps - heard + 1
    )  # the first is its answer to what it heard last
    return trainer.generate(inputs[:heard, :1], steps, seed=trainer.step)[:, 0]


def shown_of(e: engine.Experiment, trace: engine.Trace, free: np.ndarray, before: Shown | None = None) -> Shown:
    """The first sequence of a trace, and what `run_free` gave for it; `before`: the one shown before it."""
    task, none = engine.TASKS[e.task], np.zeros((len(trace.outputs), 0))
    inputs, outputs, targets = trace.inputs[:, 0], trace.outputs[:, 0], trace.targets
    targets = targets[:, 0] if task.every_step else targets[:1]
    likeliest, right, rank = none.astype(int), np.zeros(0), np.zeros(0, int)
    if targets.dtype.kind == "i":
        outputs = _softmax(outputs) if e.loss_name == "cross_entropy" else outputs
        right = np.take_along_axis(outputs, targets[:, None], axis=1)
        rank, right = (outputs > right).sum(axis=1), right[:, 0]
        if outputs.shape[1] > MOST_CLASSES:
            likeliest = np.argsort(-outputs, axis=1, kind="stable")[:, :LIKELIEST]
            outputs = np.take_along_axis(outputs, likeliest, axis=1)
    symbols = bool(task.symbols)
    return Shown(
        inputs=_small(inputs.argmax(axis=1) if symbols else inputs),
        targets=_small(targets),
        outputs=_small(outputs),
        likeliest=_small(likeliest),
        right=_small(right),
        rank=_small(rank),
        free=_small(free.argmax(axis=1) if symbols else free),
        free_from=heard_before(e) or 0,
        span=_span(trace, symbols, before),
    )


def _span(trace: engine.Trace, symbols: bool, before: Shown | None) -> tuple[float, float]:
    """Least and greatest number in the whole batch and before; outputs count up to one such distance beyond."""
    parts = [part for part in (trace.inputs,) if not symbols] + [t for t in (trace.targets,) if t.dtype.kind == "f"]
    if not parts:
        return 0.0, 1.0
    low, high = min(0.0, *(float(x.min()) for x in parts)), max(*(float(x.max()) for x in parts), 1e-30)
    if trace.targets.dtype.kind == "f":
        said = trace.outputs[:, 0][np.isfinite(trace.outputs[:, 0])]
        reach = high - low
        low, high = min([low, *np.maximum(said, low - reach)]), max([high, *np.minimum(said, high + reach)])
    if before is not None:
        low, high = min(low, before.span[0]), max(high, before.span[1])
    return float(low), float(high)


def _softmax(outputs: np.ndarray) -> np.ndarray:
    """(S, O) -> probabilities."""
    exponent = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return exponent / exponent.sum(axis=1, keepdims=True)


def _small(values: np.ndarray) -> np.ndarray:
    """Whole numbers as int16, others as float32; a read-only copy. What leaves the range of float32 is infinite."""
    with np.errstate(over="ignore"):
        kept = values.astype(np.int16 if values.dtype.kind in "iu" else np.float32)
    kept.flags.writeable = False
    return kept
