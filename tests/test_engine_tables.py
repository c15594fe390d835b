"""The rows of the tables by themselves: laws of the initialisers, updates, schedules and clips on raw numbers."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

import engine
from engine.clipping import global_norm
from engine.optimizers import decay_weights, shrink_weights
from tests import naive, torch_reference

steady = settings(deadline=None, derandomize=True, database=None)  # the first call compiles; the same cases each time
BLOCKS = {"rnn": 1, "lstm": 4, "gru": 3}


# --- Initialisers ---------------------------------------------------------------------------------------------------


def weights(cell: str = "rnn", units: int = 128, steps: int = 2, **changes: object) -> dict[str, np.ndarray]:
    e = engine.Experiment(cell=cell, hidden_size=units, seq_length=steps, batch_size=1, **({"gain": 1.0} | changes))
    return dict(engine.probe(e).state_dict)


def gates(w: np.ndarray) -> list[np.ndarray]:
    """The blocks of W_hh, (H, H) each."""
    return np.split(w, len(w) // w.shape[1])


@pytest.mark.parametrize("init", [name for name, row in engine.INITS.items() if row.spread])
def test_circular_law(init):
    """ρ → √v (from above) and σ_max → 2√v for independent elements of variance v/H (Girko; Bai & Yin)."""
    w, rho = weights(units=256, init=init)["weight_hh_l0"], np.sqrt(engine.INITS[init].spread(256))
    assert w.std() == pytest.approx(rho / 16, rel=0.015)
    assert engine.spectral_radius(w) == pytest.approx(1.04 * rho, rel=0.06)
    assert engine.sigma_max(w) == pytest.approx(2 * rho, rel=0.04)


def test_what_the_rows_say_of_the_spectral_radius():
    found = {
        init: engine.INITS[init].spread(256) for init in ("pytorch", "normal", "kaiming_normal", "standard_normal")
    }
    assert found == {"pytorch": 1 / 3, "normal": 1.0, "kaiming_normal": 2.0, "standard_normal": 256.0}


@pytest.mark.parametrize("cell", BLOCKS)
def test_keras_is_one_orthogonal_draw_over_all_gates(cell):
    """WᵀW = I for all k gates together; a block is a truncated rotation, ρ → 1/√k (Życzkowski & Sommers 2000)."""
    for w in (weights(cell, init="keras", num_layers=2)[f"weight_hh_l{layer}"] for layer in range(2)):
        np.testing.assert_allclose(w.T @ w, np.eye(128), atol=1e-12)
        for block in gates(w):
            assert engine.spectral_radius(block) == pytest.approx(1.04 / np.sqrt(BLOCKS[cell]), rel=0.06)
    for block in gates(weights(cell, init="orthogonal")["weight_hh_l0"]):
        np.testing.assert_allclose(block @ block.T, np.eye(128), atol=1e-12)


@pytest.mark.parametrize("cell", BLOCKS)
def test_keras_draws_its_inputs_over_all_gates(cell):
    """Glorot-uniform of the whole (k·H, I) matrix: the bound is √(6/(kH + I)), and not that of one gate."""
    found, k = weights(cell, init="keras", input_init="keras", num_layers=2, task="copy_memory"), BLOCKS[cell]
    for name, inputs in (("weight_ih_l0", 10), ("weight_ih_l1", 128)):
        bound = np.sqrt(6 / (k * 128 + inputs))
        assert 0.99 * bound < np.abs(found[name]).max() <= bound
    forget = found["bias_ih_l0"][128:256] if cell == "lstm" else np.ones(1)
    assert (forget == 1).all()
    biases = np.concatenate([found[f"bias_{side}_l0"] for side in ("ih", "hh")])
    assert np.count_nonzero(biases) == (128 if cell == "lstm" else 0)


# What torch.nn.init draws for a tensor of the same shape: the same mean, deviation, largest and quartiles.
TORCHS: dict[str, Callable[[torch.Tensor], object]] = {
    "pytorch": lambda w: nn.init.uniform_(w, -1 / np.sqrt(128), 1 / np.sqrt(128)),
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "kaiming_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "lecun_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear"),
    "normal": lambda w: nn.init.normal_(w, std=1 / np.sqrt(w.shape[1])),
    "standard_normal": nn.init.normal_,
    "chrono": nn.init.xavier_uniform_,
    "keras": nn.init.xavier_uniform_,
    "smart_tanh": lambda w: nn.init.normal_(w, std=0.01),
    "orthogonal": nn.init.orthogonal_,
    "identity": nn.init.eye_,
    "zeros": nn.init.zeros_,
}


@pytest.mark.parametrize("init", engine.INITS)
def test_input_weights_are_distributed_as_torchs(init):
    mine = weights(input_init=init, task="copy_memory", num_layers=2)
    torch.manual_seed(1)
    for name in ("weight_ih_l0", "weight_ih_l1"):  # (128, 10) and (128, 128)
        theirs = torch.empty(mine[name].shape, dtype=torch.float64)
        TORCHS[init](theirs)
        many = mine[name].size
        one, other = np.sort(mine[name].ravel()), np.sort(theirs.numpy().ravel())
        deviation = other.std()
        assert one.mean() == pytest.approx(other.mean(), abs=6 * deviation / np.sqrt(many))
        assert one.std() == pytest.approx(deviation, rel=6 / np.sqrt(many))
        for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
            at = int(quantile * many)
            assert one[at] == pytest.approx(other[at], abs=12 * deviation / np.sqrt(many)), quantile
        if "uniform" in init or init in ("pytorch", "keras", "chrono"):
            assert one[-1] == pytest.approx(other[-1], rel=0.02)


@pytest.mark.parametrize("units", [1, 2, 14, 15, 16, 100])
@pytest.mark.parametrize("cell", BLOCKS)
def test_smart_tanh(cell, units):
    for block in gates(weights(cell, units=units, init="smart_tanh")["weight_hh_l0"]):
        assert engine.spectral_radius(block) == pytest.approx(0.95, rel=1e-9)
        assert (np.count_nonzero(block, axis=1) == min(15, units)).all()
    heard = np.count_nonzero(block, axis=0)
    assert units < 16 or np.ptp(heard) > 0, "at random places"


def test_smart_tanh_leaves_a_matrix_of_zeros():
    class Silent(np.random.Generator):
        def standard_normal(self, *arguments):
            return np.zeros(*arguments)

    row = engine.INITS["smart_tanh"]
    assert not row.draw(Silent(np.random.PCG64(0)), 20, 20, 20).any()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_chrono_biases(cell):
    """e^b is uniform on (1, T − 1), so that units keep for 1 to T − 1 steps; the LSTM's input gate has −b."""
    units, steps = 4000, 500
    row = engine.INITS["chrono"]
    found = weights(cell, units=64, steps=steps, init="chrono", num_layers=2)
    both = [found[f"bias_ih_l{layer}"] + found[f"bias_hh_l{layer}"] for layer in range(2)]
    assert np.any(both[0] != both[1]), "each layer has a draw of its own"
    for bias in both:
        blocks = np.split(bias, BLOCKS[cell])
        keep = blocks.pop(1)  # f of i f g o, z of r z n
        assert (keep > 0).all()
        assert (keep < np.log(steps - 1)).all()
        if cell == "lstm":
            np.testing.assert_array_equal(blocks.pop(0), -keep)
        assert not np.any(blocks)
    times = np.sort(np.exp(row.bias(np.random.default_rng(0), units, steps)))
    uniform = 1 + (steps - 2) * (np.arange(units) + 0.5) / units
    assert np.abs(times - uniform).max() < 1.95 / np.sqrt(units) * (steps - 2), "Kolmogorov–Smirnov, 0.1 %"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_chrono_of_short_sequences_is_finite(steps):
    bias = engine.INITS["chrono"].bias(np.random.default_rng(0), 1000, steps)
    assert ((bias >= 0) & (bias <= np.log(2))).all()
    assert steps == 3 or not bias.any()


def test_zeros_and_identity():
    assert not weights("gru", init="zeros", gain=3.0)["weight_hh_l0"].any()
    for block in gates(weights("lstm", init="identity", gain=0.5)["weight_hh_l0"]):
        np.testing.assert_array_equal(block, 0.5 * np.eye(128))
    trace = engine.probe(engine.Experiment(init="zeros", seq_length=5))
    assert (trace.log10_grad_norms[0, :-1] == -np.inf).all(), "no gradient goes back"


@pytest.mark.parametrize("init", engine.INITS)
@pytest.mark.parametrize("side", ["init", "input_init"])
def test_every_gate_and_every_layer_has_a_draw_of_its_own(side, init):
    if init in ("identity", "zeros"):
        return
    found = weights("lstm", units=24, num_layers=3, **{side: init})
    name = "weight_hh" if side == "init" else "weight_ih"
    blocks = [block for layer in (1, 2) for block in gates(found[f"{name}_l{layer}"])]
    assert len({block.tobytes() for block in blocks}) == len(blocks)


# --- Optimizers -----------------------------------------------------------------------------------------------------


def run(optimizer: str, gradients: np.ndarray, start: np.ndarray, lr: float, weight_decay: float) -> np.ndarray:
    """θ after an update by each row of `gradients` (steps, n), as the trainer makes them."""
    row, theta = engine.OPTIMIZERS[optimizer], start.copy()
    state = row.init(theta)
    assert state.shape == (row.slots, theta.size)
    for k, g in enumerate(gradients.copy(), 1):
        if row.decoupled:
            shrink_weights(theta, lr * weight_decay)
        else:
            decay_weights(theta, g, weight_decay)
        row.update(theta, g, state, lr, 0.9, k)
    return theta


def of_many_sizes(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """50 gradients whose components are of sizes from 1e-12 to 1e3 and sometimes 0, and weights to begin with."""
    rng = np.random.default_rng(5)
    size = 10.0 ** rng.uniform(-12, 3, 60)
    gradients = rng.normal(0.3, 1, (50, 60)) * size * (rng.random((50, 60)) > 0.1)
    return gradients.astype(dtype), rng.normal(size=60).astype(dtype)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", engine.OPTIMIZERS)
def test_50_updates_as_torch_and_the_naive_twin(optimizer, dtype, weight_decay):
    """Each component to its own size: 1e-12 or 1e3, a gradient is treated as torch.optim treats it."""
    gradients, start = of_many_sizes(dtype)
    mine = run(optimizer, gradients, start, 0.01, weight_decay)
    assert mine.dtype == dtype
    relative = 50 * float(np.finfo(dtype).eps)  # a rounding a step
    parameter = nn.Parameter(torch.tensor(start))
    theirs = torch_reference.OPTIMIZERS[optimizer]([parameter], 0.9, lr=0.01, weight_decay=weight_decay)
    theta, state = start.astype(np.float64), {}
    for k, g in enumerate(gradients, 1):
        parameter.grad = torch.tensor(g)
        theirs.step()
        theta = naive.update(optimizer, theta, g.astype(np.float64), state, 0.01, 0.9, k, weight_decay)
    np.testing.assert_allclose(mine, parameter.detach().numpy(), rtol=relative, atol=relative)
    np.testing.assert_allclose(mine, theta, rtol=relative, atol=relative)


@pytest.mark.parametrize("optimizer", engine.OPTIMIZERS)
def test_updates_go_down_and_stop_where_the_gradient_is_zero(optimizer):
    gradient = np.array([3.0, -3.0, 1e-5, 0.0])
    moved = run(optimizer, gradient[None], np.zeros(4), 0.1, 0.0)
    np.testing.assert_array_equal(np.sign(moved), -np.sign(gradient))


def test_what_the_rows_say_of_small_and_large_gradients():
    """The first step, in units of lr: Adam's is 1 whatever the gradient; the uncorrected one is √10 times as long."""
    gradient = np.array([1e-4, 1.0, 1e4])
    first = {name: -run(name, gradient[None], np.zeros(3), 1.0, 0.0) for name in engine.OPTIMIZERS}
    for name in ("adam", "adamw", "adagrad"):
        np.testing.assert_allclose(first[name], 1, rtol=1e-3)
    np.testing.assert_allclose(first["adam_uncorrected"], np.sqrt(10), rtol=1e-2)
    np.testing.assert_allclose(first["dynamic"], np.sqrt(10), rtol=1e-2)
    np.testing.assert_allclose(first["rmsprop"], 10, rtol=1e-2)
    np.testing.assert_allclose(first["adadelta"][1:], np.sqrt(10 * 1e-6), rtol=1e-2)
    for name in ("sgd", "momentum"):
        np.testing.assert_array_equal(first[name], gradient)
    np.testing.assert_allclose(first["nesterov"], 1.9 * gradient, rtol=1e-15)


def test_adam_uncorrected_makes_first_steps_of_3_to_7_lr():
    path = np.array([run("adam_uncorrected", np.ones((k, 1)), np.zeros(1), 1.0, 0.0)[0] for k in range(31)])
    steps = -np.diff(path)
    assert steps.min() > 3
    assert 6 < steps.max() < 7


def test_decoupled_decay_is_the_same_for_every_gradient():
    """θ shrinks by 1 − ηλ a step in AdamW; in Adam a large gradient drowns the decay."""
    gradients, start = of_many_sizes("float64")
    without, decayed = (run("adamw", gradients, start, 0.01, w) for w in (0.0, 0.3))
    share = (1 - 0.01 * 0.3) ** 50
    adams = [run("adamw", gradients, np.zeros(60), 0.01, w) for w in (0.0, 0.3)]
    np.testing.assert_allclose(decayed - adams[1], share * start, rtol=0, atol=1e-13)
    np.testing.assert_allclose(without - adams[0], start, rtol=0, atol=1e-13)


# --- Schedules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("steps", [2, 7, 100])
@pytest.mark.parametrize("schedule", engine.SCHEDULES)
def test_schedules_as_torchs(schedule, steps, factor):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs, mine = torch_reference.SCHEDULES[schedule](optimizer, steps, factor), engine.SCHEDULES[schedule].factor
    for k in range(steps + 1 if schedule == "cosine" else 3 * steps):
        assert mine(k, steps, factor) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12, abs=1e-15), k
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("schedule", engine.SCHEDULES)
@steady
@given(
    step=st.integers(0, 10**9),
    steps=st.integers(1, 10**8),
    factor=st.floats(0, 1, exclude_min=True, allow_subnormal=True),
)
def test_a_schedule_stays_between_0_and_1(schedule, step, steps, factor):
    factor_of = engine.SCHEDULES[schedule].factor
    value = factor_of(step, steps, factor)
    assert isinstance(value, float)
    assert 0 <= value <= 1
    later = factor_of(step + 1, steps, factor)
    slack = 4 * np.finfo(float).eps  # the cosine's own rounding
    assert later >= value if schedule == "warm_up" else later <= value + slack


@pytest.mark.parametrize("steps", [1, 2, 1000])
def test_what_the_schedules_say(steps):
    at = {name: lambda k, row=row: row.factor(k, steps, 0.25) for name, row in engine.SCHEDULES.items()}
    for name, factor in at.items():
        assert factor(0) == (1 / steps if name == "warm_up" else 1), name
    for name in ("linear", "cosine"):
        assert at[name](steps) == at[name](3 * steps) == pytest.approx(0.25, rel=1e-15)
    for name in ("exponential", "step"):
        assert at[name](steps) == pytest.approx(0.25, rel=1e-15)
        assert at[name](3 * steps) == pytest.approx(0.25**3, rel=1e-15)
    assert at["step"](steps - 1) == 1
    assert at["warm_up"](steps - 1) == at["warm_up"](5 * steps) == at["constant"](5 * steps) == 1


# --- Clips ----------------------------------------------------------------------------------------------------------


def clipped(clip: str, tensors: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    flat, starts = np.concatenate(tensors), np.cumsum([0, *(t.size for t in tensors)])
    apply = engine.CLIPS[clip].apply
    if apply is not None:
        apply(flat, starts, global_norm(flat), threshold)
    return [flat[a:b] for a, b in pairwise(starts)]


NORMAL = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-9)
TENSORS = st.lists(arrays(np.float64, st.integers(1, 6), elements=NORMAL), min_size=1, max_size=4)
THRESHOLD = st.floats(1e-6, 1e6)


@pytest.mark.parametrize("clip", engine.CLIPS)
@steady
@given(tensors=TENSORS, threshold=THRESHOLD)
def test_clips_as_the_naive_twin_and_torch(clip, tensors, threshold):
    mine = clipped(clip, tensors, threshold)
    twin = naive.clip(clip, {str(k): t for k, t in enumerate(tensors)}, threshold)
    parameters = [nn.Parameter(torch.tensor(t)) for t in tensors]
    for p, t in zip(parameters, tensors, strict=True):
        p.grad = torch.tensor(t)
    torch_reference.CLIPS[clip](parameters, threshold)
    for one, other, p in zip(mine, twin.values(), parameters, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=0)
        np.testing.assert_allclose(one, p.grad.numpy(), rtol=1e-13, atol=0)


def same_direction(one: np.ndarray, other: np.ndarray) -> bool:
    """one = a · other with one a, 0 < a ≤ 1."""
    kept = other != 0
    shares = one[kept] / other[kept]
    return bool((one[~kept] == 0).all() and (shares > 0).all() and (shares <= 1 + 1e-15).all()
                and (shares.size == 0 or np.ptp(shares) <= 1e-14 * shares.max()))  # fmt: skip


@steady
@given(tensors=TENSORS, threshold=THRESHOLD)
def test_norm_keeps_the_direction_of_the_whole_and_param_norm_that_of_each(tensors, threshold):
    whole, each = clipped("norm", tensors, threshold), clipped("param_norm", tensors, threshold)
    assert same_direction(np.concatenate(whole), np.concatenate(tensors))
    assert np.linalg.norm(np.concatenate(whole)) <= threshold
    for before, after in zip(tensors, each, strict=True):
        assert same_direction(after, before)
        assert np.linalg.norm(after) <= threshold * (1 + 1e-14)
        if np.linalg.norm(before) <= threshold * (1 - 1e-14):
            np.testing.assert_array_equal(after, before, err_msg="short ones stay as they are")


@steady
@given(tensors=TENSORS, threshold=THRESHOLD)
def test_unit_keeps_signs_and_no_size(tensors, threshold):
    for before, after in zip(tensors, clipped("unit", tensors, threshold), strict=True):
        np.testing.assert_array_equal(np.sign(after), np.sign(before))
        assert (np.abs(after) <= 1).all()
        assert (np.abs(after[np.abs(before) >= threshold]) == 1).all()
        limited = clipped("value", [before], threshold)[0]
        np.testing.assert_allclose(after * threshold, limited, rtol=1e-14, err_msg="value clipping, over ε")


def sizes_past_the_squares(dtype: str) -> list[float]:
    """Sizes of a component whose square overflows, overflows in float32 only, or underflows."""
    limits = np.finfo(dtype)
    return [float(limits.max) / 8, float(limits.max) ** 0.6, float(limits.tiny) * 16]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_global_norm_is_exact_where_squares_leave_the_range(dtype):
    for size in sizes_past_the_squares(dtype):
        g = np.array([3 * (size / 4), -size, 0]).astype(dtype)
        assert global_norm(g) == pytest.approx(1.25 * size, rel=2 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_param_norm_where_squares_leave_the_range(dtype):
    relative = 4 * float(np.finfo(dtype).eps)
    for size in sizes_past_the_squares(dtype):
        threshold = 1e-3 if size > 1 else size / 4
        tensors = [np.array([3 * (size / 4), -size, 0]), np.array([threshold / 4, threshold / 2])]
        long, short = clipped("param_norm", [t.astype(dtype) for t in tensors], threshold)
        np.testing.assert_allclose(long, threshold * np.array([0.6, -0.8, 0]), rtol=relative)
        np.testing.assert_allclose(short, tensors[1], rtol=relative)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("clip", engine.CLIPS)
def test_nan_stays_nan(clip, dtype):
    tensors = [np.array([1.0, np.nan, -50.0], dtype), np.array([30.0, 40.0], dtype)]
    first, second = clipped(clip, tensors, 0.5)
    assert np.isnan(first[1])
    if clip == "param_norm":  # the damage stays in its own tensor
        np.testing.assert_array_equal(first, tensors[0])
        np.testing.assert_allclose(second, [0.3, 0.4], rtol=1e-6)


@pytest.mark.parametrize("clip", [name for name, row in engine.CLIPS.items() if row.apply])
def test_an_infinite_component_is_never_a_finite_direction(clip):
    """Norms and units of infinity are NaN, as in PyTorch; clipping by value is the one that makes it finite."""
    first, second = clipped(clip, [np.array([np.inf, 1.0]), np.array([3.0, 4.0])], 0.5)
    assert first[0] == 0.5 if clip == "value" else np.isnan(first[0])
    if clip == "param_norm":
        np.testing.assert_allclose(second, [0.3, 0.4], rtol=1e-15)


def test_unit_of_a_tiny_threshold_in_float32():
    """ε = 1e-50 is 0 in float32: 0/0 would be NaN."""
    (found,) = clipped("unit", [np.array([0.0, -1e-30, 5.0], np.float32)], 1e-50)
    np.testing.assert_array_equal(found, [0, -1, 1])
    assert found.dtype == np.float32


def test_adadelta_stands_still_where_the_square_of_a_gradient_is_infinite():
    """As torch.optim.Adadelta does in float32: a step of √(a/∞) = 0, and not NaN."""
    weights, row = np.ones(1, np.float32), engine.OPTIMIZERS["adadelta"]
    row.update(weights, np.full(1, 1e20, np.float32), row.init(weights), 1.0, 0.9, 1)
    assert weights[0] == 1


def test_losses_of_arrays_with_gaps_are_right():
    y, target = np.random.default_rng(0).normal(size=(2, 7, 6, 3))
    value, gradient = engine.LOSSES["mse"].value_and_gradient(y[:, ::2], target[:, ::2], 1.0)
    error = y[:, ::2] - target[:, ::2]
    assert value == pytest.approx((error**2).mean())
    np.testing.assert_allclose(gradient, 2 * error / error.size)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@steady
@given(
    outputs=st.integers(1, 40), scale=st.sampled_from([1e-3, 1.0, 30.0, 1e3]), seed=st.integers(0, 99),
    odd=st.sampled_from([None, np.nan, np.inf, -np.inf]),
)  # fmt: skip
def test_cross_entropy_is_pytorchs_for_any_number_of_outputs(dtype, outputs, scale, seed, odd):
    rng, eps = np.random.default_rng(seed), np.finfo(dtype).eps
    y, target = (rng.normal(size=(3, 4, outputs)) * scale).astype(dtype), rng.integers(0, outputs, (3, 4))
    if odd is not None:
        y[1, 2, seed % outputs] = odd
    value, gradient = engine.LOSSES["cross_entropy"].value_and_gradient(y, target, 1.0)
    theirs = torch.tensor(y, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(theirs.reshape(-1, outputs), torch.tensor(target).reshape(-1))
    loss.backward()
    np.testing.assert_allclose(value, loss.item(), rtol=8 * eps, atol=8 * eps)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=0, atol=4 * eps / target.size)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_class_without_an_output_is_refused(wrong):
    with pytest.raises(ValueError, match="targets: a class for which there is no output"):
        engine.LOSSES["cross_entropy"].value_and_gradient(np.zeros((1, 2, 3)), np.array([[0, wrong]]), 1.0)
