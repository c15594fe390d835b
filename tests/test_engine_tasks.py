"""The tasks: targets told again by a slow loop, baselines measured, and what every row promises."""

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from math import cos, log, pi
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad, solve_ivp

import engine
from engine.tasks import digits, mackey_glass, markov, text

ROOT = Path(__file__).parent.parent
TASKS = engine.TASKS
OF_SYMBOLS = [name for name, task in TASKS.items() if task.symbols]
OF_CLASSES = [name for name, task in TASKS.items() if task.classes]
GENERATING = [name for name, task in TASKS.items() if task.generates]
BOOK = text.FILE.read_text(encoding="ascii")
CUT = round(0.9 * len(BOOK))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- What every row promises ----------------------------------------------------------------------------------------


def assert_as_promised(name: str, x: np.ndarray, y: np.ndarray, seq_length: int, batch_size: int) -> None:
    task = TASKS[name]
    steps = task.steps(seq_length)
    assert x.shape == (steps, batch_size, task.input_size)
    assert x.dtype == np.float64
    assert np.isfinite(x).all()
    lead = (steps, batch_size) if task.every_step else (batch_size,)
    if task.loss == "cross_entropy":
        assert y.shape == lead
        assert y.dtype == np.int64
        assert 0 <= y.min() <= y.max() < task.output_size
    else:
        assert y.shape == (*lead, task.output_size)
        assert y.dtype == np.float64
        assert np.isfinite(y).all()
    if task.symbols:
        assert set(np.unique(x)) <= {0.0, 1.0}
        assert (x.sum(axis=2) == 1).all()
    for sequence in (0, batch_size - 1):
        marks = task.marks(x, sequence)
        assert all(type(t) is int and 1 <= t <= steps for t in marks)
        assert list(marks) == sorted(set(marks))


@pytest.mark.parametrize("held_back", [False, True])
@pytest.mark.parametrize("name", list(TASKS))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_shapes_types_and_ranges(name, held_back, data):
    task = TASKS[name]
    seq_length = data.draw(st.one_of(st.integers(task.min_length, 300), st.just(task.min_length)), "seq_length")
    batch_size, seed = data.draw(st.integers(1, 60), "batch_size"), data.draw(st.integers(0, 2**32), "seed")
    draw = (task.draw_validation or task.draw) if held_back else task.draw
    assert_as_promised(name, *draw(rng(seed), seq_length, batch_size), seq_length, batch_size)


@pytest.mark.parametrize("name", list(TASKS))
def test_long_sequences_and_large_batches(name):
    task = TASKS[name]
    assert_as_promised(name, *task.draw(rng(), 2000, 2), 2000, 2)
    assert_as_promised(name, *task.draw(rng(), task.min_length, 1000), task.min_length, 1000)
    if task.draw_validation:
        assert_as_promised(name, *task.draw_validation(rng(), 50_000, 1), 50_000, 1)  # longer than the book


@pytest.mark.parametrize("name", list(TASKS))
def test_a_seed_means_the_same_sequences(name):
    draw, state = TASKS[name].draw, str(np.random.get_state())  # noqa: NPY002 (the global one must not be used)
    one, other, third = draw(rng(1), 20, 5), draw(rng(1), 20, 5), draw(rng(2), 20, 5)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one[0] != third[0]).any()
    assert str(np.random.get_state()) == state  # noqa: NPY002


@pytest.mark.parametrize("name", list(TASKS))
def test_names_fit_the_numbers(name):
    task = TASKS[name]
    assert len(task.symbols) in (0, task.input_size)
    assert len(task.classes) == (task.output_size if task.loss == "cross_entropy" else 0)
    for names in (task.symbols, task.classes):
        assert len(set(names)) == len(names)
        assert all(n.strip() and len(n) <= 4 for n in names)
    losses = {"mse", "cross_entropy"} if task.loss == "cross_entropy" else {"mse"}
    lines = {task.baseline_label: task.trivial_loss, **task.references}
    assert len(lines) == 1 + len(task.references)
    assert all(set(line) == losses for line in lines.values())
    assert (task.draw_validation is not None) == (name in {"text", "digits_rows", "digits_pixels"})


@pytest.mark.parametrize("name", GENERATING)
def test_what_runs_free_puts_out_what_it_takes_in(name):
    task = TASKS[name]
    x, y = task.draw(rng(), 40, 7)
    assert task.every_step
    assert task.input_size == task.output_size
    assert task.symbols == task.classes
    np.testing.assert_array_equal(x.argmax(axis=2)[1:] if task.symbols else x[1:], y[:-1])


def test_files_are_read_when_they_are_needed():
    code = """
from engine.tasks import digits, text, TASKS
print(text.parts.cache_info().currsize + digits.pictures.cache_info().currsize)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0"]
    assert sum(f.stat().st_size for f in text.FILE.parent.iterdir()) < 110_000


# --- Targets, by a slow loop over one sequence ----------------------------------------------------------------------


def total(x: np.ndarray) -> list[float]:
    out = 0.0
    for value, marker in x:
        if marker == 1:
            out += value
    return [out]


def product(x: np.ndarray) -> list[float]:
    out = 1.0
    for value, marker in x:
        if marker == 1:
            out *= value
    return [out]


def names(task: str, x: np.ndarray) -> list[str]:
    """The symbols of a sequence."""
    return [TASKS[task].symbols[list(row).index(1.0)] for row in x]


def order(task: str, x: np.ndarray) -> str:
    return "".join(s for s in names(task, x) if s in "AB")


def copied(x: np.ndarray) -> list[str]:
    shown = names("copy_memory", x)
    assert "".join(shown[10:]) == "·" * (len(shown) - 21) + "?" + "·" * 10
    return ["·"] * (len(shown) - 10) + shown[:10]


def first_again(x: np.ndarray) -> str:
    shown = names("random_permutation", x)
    assert shown[0] in ("1", "2")
    assert not {"1", "2"} & set(shown[1:])
    return shown[0]


def parities(task: str, x: np.ndarray) -> list[str]:
    out, odd = [], False
    for bit in names(task, x):
        odd = odd != (bit == "1")
        out.append("odd" if odd else "even")
    return out


def goes_on(x: np.ndarray, waves: int) -> list[float]:
    """The next value, from the recurrence that every sum of `waves` sines obeys, fitted to the sequence itself."""
    order = 2 * waves
    rows = np.array([x[t : t + order, 0] for t in range(len(x) - order)])
    weights = np.linalg.lstsq(rows, x[order:, 0], rcond=None)[0]
    return [float(x[t + 1 - order : t + 1, 0] @ weights) for t in range(order - 1, len(x))]


def follows_in_the_book(x: np.ndarray) -> list[str]:
    """The characters after each of a sequence that is found once in the book."""
    shown = "".join(names("text", x)).replace("⏎", "\n").replace("␣", " ")
    assert BOOK.count(shown) == 1, shown
    at = BOOK.index(shown) + 1
    return list(BOOK[at : at + len(shown)].replace("\n", "⏎").replace(" ", "␣"))


def is_the_picture(x: np.ndarray) -> str:
    images, truth = digits.pictures()
    found = [k for k, image in enumerate(images) if (image.ravel() == x.ravel()).all()]
    assert len(found) == 1
    return str(truth[found[0]])


RETOLD = {
    "adding": total,
    "multiplication": product,
    "delayed_recall": lambda x: {-1.0: "−1", 1.0: "+1"}[x[0, 0]],
    "temporal_order": lambda x: order("temporal_order", x),
    "temporal_order_3bit": lambda x: order("temporal_order_3bit", x),
    "copy_memory": copied,
    "random_permutation": first_again,
    "parity": lambda x: parities("parity", x),
    "parity_final": lambda x: parities("parity_final", x)[-1],
    "sine": lambda x: goes_on(x, 1),
    "sum_of_sines": lambda x: goes_on(x, 3),
    "text": follows_in_the_book,
    "digits_rows": is_the_picture,
    "digits_pixels": is_the_picture,
}
ELSEWHERE = {"mackey_glass", "markov", "random_series", "random_features", "random_vectors"}  # tested below


def test_every_task_is_told_again():
    assert set(RETOLD) | ELSEWHERE == set(TASKS)


@pytest.mark.parametrize("name", list(RETOLD))
def test_targets_are_what_a_slow_loop_says(name):
    task = TASKS[name]
    x, y = task.draw(rng(3), 60, 40)
    for b in range(40):
        expected, target = RETOLD[name](x[:, b]), y[:, b] if task.every_step else y[b]
        if task.classes and task.every_step:
            assert [task.classes[k] for k in target] == expected
        elif task.classes:
            assert task.classes[target] == expected
        else:  # the fit of a recurrence to close frequencies loses digits
            np.testing.assert_allclose(np.ravel(target)[-len(expected) :], expected, rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize("name", ["adding", "multiplication"])
@pytest.mark.parametrize("seq_length", [2, 3, 21, 60])
def test_one_number_is_marked_in_each_half(name, seq_length):
    task = TASKS[name]
    x, _ = task.draw(rng(), seq_length, 500)
    half = seq_length // 2
    assert (x[:half, :, 1].sum(axis=0) == 1).all()
    assert (x[half:, :, 1].sum(axis=0) == 1).all()
    assert (x[..., 1].sum(axis=1) > 0).all(), "every step can be marked"
    assert task.marks(x, 3) == tuple(np.flatnonzero(x[:, 3, 1]) + 1)


@pytest.mark.parametrize(("name", "tenths"), [("temporal_order", (1, 5)), ("temporal_order_3bit", (1, 3, 6))])
@pytest.mark.parametrize("seq_length", [10, 19, 50, 100])
def test_marked_symbols_stand_where_the_definition_says(name, tenths, seq_length):
    task = TASKS[name]
    x, _ = task.draw(rng(), seq_length, 1000)
    counts = x.sum(axis=1)
    allowed = {t for k in tenths for t in range(k * seq_length // 10, (k + 1) * seq_length // 10)}
    assert set(np.flatnonzero(counts[:, :2].any(axis=1))) == allowed
    assert (x[..., :2].sum(axis=(0, 2)) == len(tenths)).all()
    assert task.marks(x, 0) == tuple(np.flatnonzero(x[:, 0, :2].any(axis=1)) + 1)
    if seq_length == 100:
        np.testing.assert_allclose(counts[0, 2:] / 1000, 1 / 4, atol=0.07)  # five standard errors


def test_delayed_recall_is_noise_after_its_first_step():
    x, y = TASKS["delayed_recall"].draw(rng(), 50, 2000)
    assert x[1:].std() == pytest.approx(0.2, rel=0.01)
    assert abs(np.corrcoef(x[1:, :, 0].mean(axis=0), y)[0, 1]) < 5 / np.sqrt(2000)
    assert TASKS["delayed_recall"].marks(x, 0) == TASKS["random_permutation"].marks(x, 0) == (1,)


@pytest.mark.parametrize("name", ["sine", "sum_of_sines"])
def test_waves_have_the_periods_that_are_promised(name):
    """A linear recurrence has them in its roots; alone, a wave's is 2 cos ω."""
    x, _ = TASKS["sine"].draw(rng(), 400, 300)
    w = x[..., 0]
    cosine = ((w[2:] + w[:-2]) * w[1:-1]).sum(axis=0) / (2 * (w[1:-1] ** 2).sum(axis=0))
    periods = 2 * pi / np.arccos(cosine)
    assert 10 - 1e-6 <= periods.min() < 11
    assert 40 < periods.max() <= 50 + 1e-6
    if name == "sum_of_sines":  # nothing outside the band: its power over frequencies, with a window against leaks
        w = TASKS[name].draw(rng(), 1024, 50)[0][..., 0] * np.blackman(1024)[:, None]
        power, frequency = (np.abs(np.fft.rfft(w, axis=0)) ** 2).sum(axis=1), np.fft.rfftfreq(1024)
        inside = (frequency > 1 / 50 - 0.004) & (frequency < 1 / 10 + 0.004)
        assert power[~inside].sum() < 1e-6 * power.sum()


@pytest.mark.parametrize("name", ["random_series", "random_features", "random_vectors"])
def test_random_data_have_nothing_to_learn(name):
    x, y = TASKS[name].draw(rng(), 4, 10_000)
    for values in (x, y):
        moments = values.min(), values.mean(), values.var(), values.max()
        assert moments == pytest.approx((0, 1 / 2, 1 / 12, 1), abs=0.01)
    columns = np.hstack([*x, y])
    correlations = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(correlations).max() < 5 / np.sqrt(10_000)


# --- Baselines ------------------------------------------------------------------------------------------------------


def constant(*values: float):
    return lambda x, y: np.broadcast_to(np.array(values), (*y.shape, len(values)) if len(values) > 1 else y.shape)


def repeat(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x


def copy_guess(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    p = np.zeros((*y.shape, 10))
    p[:-10, :, 8], p[-10:, :, :8] = 1, 1 / 8
    return p


def counts_of_the_book(context: int):
    """Laplace's rule of succession, told with dictionaries."""

    def guess(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        seen, alphabet = BOOK[:CUT], sorted(set(BOOK))
        if context == 0:
            counts = Counter(seen)
            p = [[(counts[c] + 1) / (len(seen) + 38) for c in alphabet]] * 38
        else:
            pairs, firsts = Counter(pairwise(seen)), Counter(seen[:-1])
            p = [[(pairs[a, c] + 1) / (firsts[a] + 38) for c in alphabet] for a in alphabet]
        return np.array(p)[x.argmax(axis=2)]

    return guess


def long_run() -> np.ndarray:
    """π by following the chain: P^4096."""
    return np.linalg.matrix_power(markov.CHAIN / markov.CHAIN.sum(axis=1, keepdims=True), 4096)[0]


ANSWERS = {  # (task, line in the picture): what that answer is, of inputs and targets
    ("adding", "guessing the mean"): constant(1.0),
    ("multiplication", "guessing the mean"): constant(1 / 4),
    ("delayed_recall", "guessing a class"): constant(*[1 / 2] * 2),
    ("temporal_order", "guessing a class"): constant(*[1 / 4] * 4),
    ("temporal_order_3bit", "guessing a class"): constant(*[1 / 8] * 8),
    ("copy_memory", "guessing the symbols"): copy_guess,
    ("random_permutation", "guessing 1 or 2"): constant(1 / 2, 1 / 2, *[0] * 98),
    ("random_permutation", "guessing any symbol"): constant(*[1 / 100] * 100),
    ("parity", "guessing a class"): constant(*[1 / 2] * 2),
    ("parity_final", "guessing a class"): constant(*[1 / 2] * 2),
    ("sine", "last value again"): repeat,
    ("sine", "guessing the mean"): constant(0.0),
    ("sum_of_sines", "last value again"): repeat,
    ("sum_of_sines", "guessing the mean"): constant(0.0),
    ("mackey_glass", "last value again"): repeat,
    ("mackey_glass", "guessing the mean"): constant(0.93017),
    ("markov", "symbol counts"): lambda x, y: np.broadcast_to(long_run(), (*y.shape, 10)),
    ("markov", "best possible"): lambda x, y: (markov.CHAIN / 100)[x.argmax(axis=2)],
    ("text", "letter counts"): counts_of_the_book(0),
    ("text", "any letter"): constant(*[1 / 38] * 38),
    ("text", "letter pairs"): counts_of_the_book(1),
    ("digits_rows", "guessing a digit"): constant(*[1 / 10] * 10),
    ("digits_pixels", "guessing a digit"): constant(*[1 / 10] * 10),
    ("random_series", "guessing the mean"): constant(1 / 2),
    ("random_features", "guessing the mean"): constant(1 / 2),
    ("random_vectors", "guessing the mean"): constant(1 / 2),
}


def test_every_line_is_measured():
    lines = {(name, label) for name, task in TASKS.items() for label in (task.baseline_label, *task.references)}
    assert set(ANSWERS) == lines


def sample(name: str, seq_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Many sequences of a task; of the text, all that is held back, as one sequence."""
    if name == "text":
        seq_length, count, draw = len(BOOK) - CUT - 1, 1, text.draw_validation
    else:
        count, draw = 3000, TASKS[name].draw
    return draw(rng(5), seq_length, count)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize(("name", "label"), list(ANSWERS))
def test_a_line_is_the_loss_of_the_answer_it_names(name, label, loss):
    """Measured, within four standard errors (over sequences, which are independent)."""
    task = TASKS[name]
    line = task.trivial_loss if label == task.baseline_label else task.references[label]
    if loss not in line:
        assert not task.classes
        return
    x, y = sample(name, 30)
    guess = ANSWERS[name, label](x, y)
    if not task.classes:
        each = (guess - y) ** 2
    elif loss == "mse":
        each = ((guess - np.eye(task.output_size)[y]) ** 2).mean(axis=-1)
    else:
        each = -np.log(np.take_along_axis(guess, y[..., None], axis=-1))[..., 0]
    each = each.mean(axis=tuple(k for k in range(each.ndim) if k != (1 if task.every_step else 0)))
    error = 4 * each.std() / np.sqrt(len(each))
    assert line[loss](30) == pytest.approx(each.mean(), rel=1e-12, abs=error + 1e-12)


@pytest.mark.parametrize("name", [n for n in OF_CLASSES if n != "text"])
def test_no_answer_that_ignores_the_inputs_is_better(name):
    """The best one says how often each class comes: the trivial answer says just that."""
    task = TASKS[name]
    x, y = sample(name, 30)
    guess = ANSWERS[name, task.baseline_label](x, y)
    measured = np.eye(task.output_size)[y].mean(axis=-2)  # at each step (or once), of the sequences
    expected = guess.mean(axis=-2)
    error = np.sqrt(expected * (1 - expected) / y.shape[-1])
    assert (np.abs(measured - expected) <= 5 * error + (0.003 if "digits" in name else 0)).all()


@pytest.mark.parametrize("seq_length", [1, 7, 200])
def test_copy_memorys_line_depends_on_its_length(seq_length):
    x, y = TASKS["copy_memory"].draw(rng(), seq_length, 3)
    guess = copy_guess(x, y)
    each = -np.log(np.take_along_axis(guess, y[..., None], axis=2))
    assert TASKS["copy_memory"].trivial_loss["cross_entropy"](seq_length) == pytest.approx(each.mean(), rel=1e-12)
    assert each.mean() == pytest.approx(10 * log(8) / (seq_length + 20), rel=1e-12)


def test_closed_forms():
    low, high = 2 * pi / 50, 2 * pi / 10
    persistence = quad(lambda w: (1 - cos(w)) / (high - low), low, high)[0]
    assert TASKS["sine"].trivial_loss["mse"](9) == pytest.approx(persistence, rel=1e-10)
    assert TASKS["sum_of_sines"].trivial_loss["mse"](9) == pytest.approx(persistence / 3, rel=1e-10)
    for name, waves in (("sine", 1), ("sum_of_sines", 3)):
        variance = quad(lambda phase: np.sin(phase) ** 2 / (2 * pi), 0, 2 * pi)[0] / waves
        assert TASKS[name].references["guessing the mean"]["mse"](9) == pytest.approx(variance, rel=1e-10)
    for name, mean, value in (("adding", 1, lambda a, b: a + b), ("multiplication", 1 / 4, lambda a, b: a * b)):
        variance = dblquad(lambda a, b, f=value, m=mean: (f(a, b) - m) ** 2, 0, 1, 0, 1)[0]
        assert TASKS[name].trivial_loss["mse"](9) == pytest.approx(variance, rel=1e-8)


def test_the_sizes_of_the_classic_lines():
    """The losses of SCIENCE.md's table, in nats."""
    found = {name: task.trivial_loss["cross_entropy"](100) for name, task in TASKS.items() if task.classes}
    expected = {
        "copy_memory": log(8) / 12, "temporal_order": log(4), "temporal_order_3bit": log(8), "delayed_recall": log(2),
        "parity": log(2), "parity_final": log(2), "random_permutation": log(2), "digits_rows": log(10),
        "digits_pixels": log(10),
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    of_text = [line["cross_entropy"](100) for line in TASKS["text"].references.values()]
    assert of_text[1] < found["text"] < of_text[0] == log(38)


# --- Markov chain ---------------------------------------------------------------------------------------------------


def test_the_chain_is_one():
    """Rows of odds, and every symbol can be reached from every other, at all large times: π is the only one."""
    assert (markov.CHAIN >= 0).all()
    assert (markov.CHAIN.sum(axis=1) == 100).all()
    assert (np.linalg.matrix_power(markov.CHAIN > 0, 20) > 0).all()
    np.testing.assert_allclose(markov.stationary(), long_run(), rtol=1e-11)


def test_the_chain_is_drawn_as_it_is_written():
    x, y = TASKS["markov"].draw(rng(), 40, 5000)
    pairs = np.zeros((10, 10))
    np.add.at(pairs, (x.argmax(axis=2).ravel(), y.ravel()), 1)
    visits = pairs.sum(axis=1, keepdims=True)
    odds = markov.CHAIN / 100
    assert (np.abs(pairs / visits - odds) <= 5 * np.sqrt(odds * (1 - odds) / visits)).all()
    first = x[0].mean(axis=0)
    np.testing.assert_allclose(first, long_run(), atol=5 * np.sqrt(0.25 * 0.75 / 5000))
    assert np.abs(first - long_run()).sum() < np.abs(first - 0.1).sum() / 5, "from π, not from equal odds"


def test_the_entropy_rate_by_another_formula():
    """h = H(X₁, X₂) − H(X₁), and it is where H(Xₙ | X₁) starts from before the chain forgets."""
    single = long_run()
    pair = single[:, None] * markov.CHAIN / 100
    entropies = [-sum(p * log(p) for p in table.ravel() if p > 0) for table in (single, pair)]
    line = TASKS["markov"].references["best possible"]["cross_entropy"]
    assert line(100) == pytest.approx(entropies[1] - entropies[0], rel=1e-10)
    assert TASKS["markov"].trivial_loss["cross_entropy"](100) == pytest.approx(entropies[0], rel=1e-10)


# --- Mackey–Glass ---------------------------------------------------------------------------------------------------


def fine_steps(start: float, delays: int) -> np.ndarray:
    """x at t = 0, 1, …, by Runge–Kutta steps of order 8 so small that only roundings are left."""
    series, before, last = [start], lambda s: start, start
    for _ in range(delays):
        solution = solve_ivp(
            lambda t, x, past=before: 0.2 * past(t) / (1 + past(t) ** 10) - 0.1 * x, (0, 17), [last],
            method="DOP853", rtol=1e-12, atol=1e-13, max_step=0.2, dense_output=True,
        )  # fmt: skip
        series.extend(solution.sol(np.arange(1, 18))[0])
        before, last = (lambda s, f=solution.sol: f(s)[0]), solution.y[0, -1]
    return np.array(series)


def test_mackey_glass_is_the_solution_of_its_equation():
    starts = [0.5, 0.9, 1.5]
    found = mackey_glass.integrate(np.array(starts), 17 * 6 + 1)
    for b, start in enumerate(starts):
        np.testing.assert_allclose(found[:, b], fine_steps(start, 6), rtol=0, atol=1e-7)


def test_mackey_glass_hands_out_the_solution_after_its_transient():
    """Every sequence is a stretch of the solution from its own history, and starts 340 to 849 steps in."""
    start = rng(4).uniform(0.5, 1.5, 50)  # the first that draw takes from rng
    solution = mackey_glass.integrate(start, 1000)
    x, y = TASKS["mackey_glass"].draw(rng(4), 60, 50)
    whole = np.concatenate([x, y[-1:]])[..., 0]
    stretches = np.lib.stride_tricks.sliding_window_view(solution, 61, axis=0)  # (940, 50, 61)
    begins, sequences = np.nonzero(np.abs(stretches - whole.T).max(axis=2) < 1e-12)
    assert sorted(sequences) == list(range(50))
    assert 340 <= begins.min() < 370 < 820 < begins.max() < 850


def test_mackey_glass_lines_are_those_of_the_long_run():
    """Its constants have no formula, but a mean over 400 000 timesteps of one beat has little error."""
    x, y = TASKS["mackey_glass"].draw(rng(), 2000, 200)
    assert pytest.approx(x.var(), rel=2e-3) == mackey_glass.VARIANCE
    assert pytest.approx(((y - x) ** 2).mean(), rel=2e-3) == mackey_glass.PERSISTENCE


def test_mackey_glass_is_stationary():
    x, _ = TASKS["mackey_glass"].draw(rng(), 300, 4000)
    means, deviations = x[:, :, 0].mean(axis=1), x[:, :, 0].std(axis=1)
    np.testing.assert_allclose(means, 0.93, atol=5 * deviations.max() / np.sqrt(4000))
    np.testing.assert_allclose(deviations, np.sqrt(mackey_glass.VARIANCE), rtol=0.05)


# --- Text and digits ------------------------------------------------------------------------------------------------


def test_the_alphabet_is_that_of_the_book():
    assert "".join(sorted(set(BOOK))) == text.ALPHABET
    assert len(text.ALPHABET) == len(TASKS["text"].symbols) == 38
    assert "\r" not in BOOK


def shown(x: np.ndarray) -> list[str]:
    return ["".join(np.array(list(text.ALPHABET))[column]) for column in x.argmax(axis=2).T]


def test_training_never_sees_the_text_that_is_held_back():
    seen, held_back = text.parts()
    assert (len(seen), len(held_back)) == (CUT, len(BOOK) - CUT)
    for window in shown(text.draw(rng(), 80, 2000)[0]):
        assert window in BOOK[:CUT]
    for window in shown(text.draw_validation(rng(), 80, 2000)[0]):
        assert window in BOOK[CUT:]
        assert window not in BOOK[:CUT]


def test_windows_come_from_everywhere_and_a_long_one_begins_again():
    size = len(BOOK) - CUT
    x, following = text.draw_validation(rng(), size - 2, 50)  # there are two places for it
    assert {window[:9] for window in shown(x)} == {BOOK[CUT:][:9], BOOK[CUT:][1:10]}
    assert {following[-1, b] for b in range(50)} == {text.ALPHABET.index(c) for c in BOOK[-2:]}
    (window,) = shown(text.draw_validation(rng(), 2 * size + 5, 1)[0])
    assert window == (BOOK[CUT:] * 3)[: 2 * size + 5]


@pytest.mark.parametrize(("name", "shape"), [("digits_rows", (8, 8)), ("digits_pixels", (64, 1))])
def test_training_never_sees_the_digits_that_are_held_back(name, shape):
    task = TASKS[name]
    images, truth = digits.pictures()
    known = {image.tobytes(): k for k, image in enumerate(images)}
    assert len(known) == 1797, "no two pictures are the same"
    for draw, first, last in ((task.draw, 0, 1297), (task.draw_validation, 1297, 1797)):
        x, y = draw(rng(), 100, 20_000)
        assert x.shape == (shape[0], 20_000, shape[1])
        found = np.array([known[x[:, b].tobytes()] for b in range(20_000)])
        assert set(found) == set(range(first, last)), "each of them comes, and no other"
        assert set(found[: last - first]) == set(found), "each once before one comes again"
        np.testing.assert_array_equal(y, truth[found])


def test_the_digits_are_the_known_ones():
    images, truth = digits.pictures()
    assert images.shape == (1797, 8, 8)
    assert (images.min(), images.max()) == (0, 1)
    assert list(truth[:10]) == list(range(10))
    np.testing.assert_array_equal(images[0, 0] * 16, [0, 0, 5, 13, 9, 1, 0, 0])
    assert (images * 16).sum() == 561_718, "the sum of all brightness of the published set"
