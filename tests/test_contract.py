"""What callers rely on: names, a frozen valid Experiment, clear errors for bad input, and no trace left in the host."""

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from pydantic import ValidationError

import engine
from engine.clipping import global_norm
from tests import cases, naive

ROOT = Path(__file__).parent.parent
FIELDS = engine.Experiment.model_fields
TABLES = ["CELLS", "ACTIVATIONS", "INITS", "OPTIMIZERS", "CLIPS", "SCHEDULES", "TASKS", "LOSSES"]


def small(**changes: object) -> engine.Experiment:
    return engine.Experiment(**({"hidden_size": 5, "batch_size": 3, "seq_length": 12} | changes))


# --- Names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Experiment", "probe", "Trainer", "train", "Trace", "History", "mean_field", *TABLES])
def test_public_names(name):
    assert name in engine.__all__
    assert hasattr(engine, name)


def test_choices_of_the_contract():
    assert set(engine.CELLS) >= {"rnn", "lstm", "gru"}
    assert set(engine.ACTIVATIONS) >= {
        "tanh", "relu", "sigmoid", "identity", "leaky_relu", "elu", "softsign", "hardtanh",
    }  # fmt: skip
    assert set(engine.INITS) >= {"pytorch", "xavier_uniform", "xavier_normal", "orthogonal", "identity", "normal"}
    assert set(engine.OPTIMIZERS) >= {"sgd", "momentum", "rmsprop", "adam"}
    assert set(engine.CLIPS) >= {"none", "norm", "value"}
    assert set(engine.TASKS) >= {
        "adding", "multiplication", "copy_memory", "temporal_order", "temporal_order_3bit", "delayed_recall", "parity",
        "parity_final", "random_permutation", "sine", "sum_of_sines", "mackey_glass", "text", "markov", "random_series",
        "random_features", "random_vectors", "digits_rows", "digits_pixels",
    }  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_rows_speak_to_a_reader(table):
    for name, row in getattr(engine, table).items():
        assert row.label, name
        assert row.meaning.endswith("."), name
        assert row.source or name == "none", name


def test_defaults_of_the_contract():
    e = engine.Experiment()
    contract = {
        "cell": "rnn", "hidden_size": 32, "num_layers": 1, "nonlinearity": "tanh", "init": "normal", "gain": 0.9,
        "input_init": "pytorch", "forget_bias": 1.0, "task": "adding", "seq_length": 100, "batch_size": 32,
        "loss": None, "optimizer": "adam", "lr": 1e-3, "momentum": 0.9, "schedule": "constant", "weight_decay": 0.0,
        "dropout": 0.0, "clip": "norm", "clip_threshold": 1.0, "tbptt": None, "dtype": "float64", "seed": 0,
        "reset_after": True, "embedding_dim": None, "batching": "mini", "train_size": None, "schedule_steps": 1000,
        "schedule_factor": 0.1, "variational_dropout": False, "omega": 0.0, "stop_steps": None, "stop_loss": None,
        "patience": None,
    }  # fmt: skip
    assert e.model_dump() == contract


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("task", list(engine.TASKS))
@pytest.mark.parametrize("cell", list(engine.CELLS))
def test_trace_has_the_contracts_shapes(cell, task, dtype):
    e = small(cell=cell, task=task, dtype=dtype, num_layers=2)
    t, row, k = engine.probe(e), engine.TASKS[task], naive.blocks(cell)
    steps = row.steps(12)
    assert isinstance(t.loss, float)
    assert t.inputs.shape == (steps, 3, row.input_size)
    assert t.hidden.shape == (2, steps + 1, 3, 5)
    assert (t.hidden[:, 0] == 0).all()
    assert (t.cell is None) == (cell != "lstm")
    assert t.cell is None or t.cell.shape == t.hidden.shape
    assert list(t.gates) == list(naive.CELLS[cell][2])
    assert all(g.shape == (2, steps, 3, 5) for g in t.gates.values())
    assert t.grad_norms.shape == t.log10_grad_norms.shape == (2, steps)
    assert {n: g.shape for n, g in t.grads.items()} == {n: w.shape for n, w in t.state_dict.items()}
    assert t.state_dict["weight_ih_l0"].shape == (k * 5, row.input_size)
    assert t.state_dict["weight_ih_l1"].shape == t.state_dict["weight_hh_l1"].shape == (k * 5, 5)
    assert t.state_dict["bias_hh_l1"].shape == (k * 5,)
    assert t.state_dict["head.weight"].shape == (row.output_size, 5)
    floats = [t.inputs, t.hidden, *t.gates.values(), *t.grads.values(), *t.state_dict.values()]
    assert {a.dtype for a in floats} == {np.dtype(dtype)}


def test_results_are_read_only():
    trace, trainer = engine.probe(e := small(cell="lstm")), engine.Trainer(e)
    trainer.advance(2)
    arrays = [
        v for r in (trace, trainer.history, trainer.trace()) for v in vars(r).values() if isinstance(v, np.ndarray)
    ]
    for group in (trace.gates, trace.grads, trace.state_dict, trainer.state_dict):
        arrays += group.values()
    assert len(arrays) > 30
    assert not any(a.flags.writeable for a in arrays)


# --- Experiment -----------------------------------------------------------------------------------------------------


def test_experiment_is_a_frozen_key():
    e = engine.Experiment()
    assert hash(e) == hash(engine.Experiment())
    assert e == engine.Experiment()
    assert e != e.replace(seed=1)
    with pytest.raises(ValidationError):
        e.gain = 2.0
    assert pickle.loads(pickle.dumps(e)) == e
    assert engine.Experiment(**e.model_dump()) == e
    assert engine.Experiment.model_validate_json(e.model_dump_json()) == e


@pytest.mark.parametrize("name", list(FIELDS))
def test_every_field_says_what_it_is(name):
    field = FIELDS[name]
    assert field.title
    assert field.description
    assert field.description.endswith(".")
    assert "unit" in field.json_schema_extra
    numeric = isinstance(field.default, int | float) and not isinstance(field.default, bool)
    numeric = numeric or name in ("tbptt", "embedding_dim", "train_size", "stop_steps", "stop_loss", "patience")
    bounds = {type(m).__name__ for m in field.metadata}
    assert not numeric or ({"Ge", "Gt"} & bounds and {"Le", "Lt"} & bounds), f"{name} has no range: {bounds}"


WRONG = [
    ("cell", "transformer", "rnn, lstm, gru"), ("nonlinearity", "swish", "tanh"), ("init", "", "orthogonal"),
    ("task", "parity?", "adding"), ("optimizer", "Adam", "adam"), ("clip", "nrom", "norm"),
    ("dtype", "float16", "float32"), ("schedule", "warp", "constant"), ("loss", "hinge", "mse"),
    ("input_init", "zero", "normal"),
    ("hidden_size", 0, "1"), ("hidden_size", 4097, "4096"), ("hidden_size", 3.5, "integer"),
    ("hidden_size", "many", "integer"),
    ("hidden_size", True, "true"), ("hidden_size", None, "integer"), ("hidden_size", [3], "integer"),
    ("num_layers", 0, "1"), ("seq_length", 0, "1"), ("seq_length", 100_001, "100000"), ("batch_size", -1, "1"),
    ("gain", -0.1, "0"), ("gain", 101.0, "100"), ("gain", float("nan"), "finite"), ("gain", float("inf"), "finite"),
    ("gain", "big", "number"), ("lr", -1e-3, "0"), ("lr", float("nan"), "finite"), ("momentum", 1.0, "1"),
    ("dropout", 1.0, "1"), ("dropout", -0.1, "0"), ("weight_decay", -1.0, "0"), ("clip_threshold", 0.0, "0"),
    ("clip_threshold", float("inf"), "finite"), ("tbptt", 0, "1"), ("tbptt", 2.5, "integer"), ("seed", -1, "0"),
    ("seed", 2**63, "9223372036854775807"), ("seed", 1j, "integer"), ("cell", 7, "string"), ("cell", None, "string"),
    ("forget_bias", float("-inf"), "finite"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "allowed"), WRONG, ids=[f"{f}={v!r}" for f, v, _ in WRONG])
def test_wrong_values_are_refused_in_a_sentence(field, value, allowed):
    for make in (lambda: engine.Experiment(**{field: value}), lambda: engine.Experiment().replace(**{field: value})):
        with pytest.raises(ValueError, match=field) as caught:
            make()
        assert allowed in str(caught.value)
        shown = repr(value) if not isinstance(value, float) or np.isfinite(value) else str(value)
        assert shown in str(caught.value), str(caught.value)


def test_unknown_fields_and_impossible_pairs_are_refused():
    with pytest.raises(ValueError, match="hiden_size"):
        engine.Experiment(hiden_size=3)
    with pytest.raises(ValueError, match="hiden_size"):
        engine.Experiment().replace(hiden_size=3)
    with pytest.raises(ValueError, match="seq_length"):
        engine.Experiment(task="temporal_order", seq_length=3)
    with pytest.raises(ValueError, match="cross_entropy"):
        engine.Experiment(task="sine", loss="cross_entropy")


def test_numpy_numbers_are_numbers():
    e = engine.Experiment(hidden_size=np.int32(8), gain=np.float32(0.5), seed=np.int64(3))
    assert e == engine.Experiment(hidden_size=8, gain=0.5, seed=3)


@pytest.mark.parametrize("steps", [-1, 1.5, "ten", None])
def test_steps_of_training(steps):
    for attempt in (lambda: engine.train(small(), steps=steps), lambda: engine.Trainer(small()).advance(steps)):
        with pytest.raises(ValueError, match=r"steps.*allowed"):
            attempt()


# --- probe: whatever comes in ---------------------------------------------------------------------------------------


def ready(**changes: object) -> tuple[engine.Experiment, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    e = small(num_layers=2, **changes)
    return e, cases.state_dict(e, 2, 3), *cases.data(e, 12, False)


def strided(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def reversed_view(x: np.ndarray) -> np.ndarray:
    return x[::-1].copy()[::-1]


FORMS = {
    "Fortran": np.asfortranarray,
    "strided": strided,
    "read-only": read_only,
    "reversed": reversed_view,
    "list": np.ndarray.tolist,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "object": lambda x: x.astype(object),
    "masked": np.ma.masked_array,
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("cell", list(engine.CELLS))
def test_any_form_of_an_array_gives_the_same_numbers_or_a_clear_error(cell, form):
    e, weights, inputs, targets = ready(cell=cell)
    clean, change = engine.probe(e, weights, inputs, targets), FORMS[form]
    attempts = {
        "inputs": lambda: engine.probe(e, weights, change(inputs), targets),
        "targets": lambda: engine.probe(e, weights, inputs, change(targets)),
        "weight_hh_l1": lambda: engine.probe(
            e, weights | {"weight_hh_l1": change(weights["weight_hh_l1"])}, inputs, targets
        ),
    }
    for name, attempt in attempts.items():
        if form == "object":
            with pytest.raises(ValueError, match=name):
                attempt()
            continue
        found = attempt()
        cases.assert_identical(found.grads, clean.grads)
        np.testing.assert_array_equal(found.log10_grad_norms, clean.log10_grad_norms)


@pytest.mark.parametrize("kind", ["float16", "float32", "int8", "int64", "uint8", "bool", "longdouble"])
def test_any_real_type_is_converted_once(kind):
    e, weights, inputs, targets = ready()
    inputs, targets = (np.abs(np.round(x * 2)).astype(kind) for x in (inputs, targets))
    one = engine.probe(e, weights, inputs, targets)
    other = engine.probe(e, weights, inputs.astype(np.float64), targets.astype(np.float64))
    cases.assert_identical(one.grads, other.grads)
    assert one.inputs.dtype == np.float64


def test_arguments_are_left_alone():
    e, weights, inputs, targets = ready()
    copies = {n: w.copy() for n, w in weights.items()}, inputs.copy(), targets.copy()
    trace = engine.probe(e, weights, inputs, targets)
    cases.assert_identical(weights, copies[0])
    np.testing.assert_array_equal(inputs, copies[1])
    np.testing.assert_array_equal(targets, copies[2])
    inputs[:] = 7.0
    assert (trace.inputs != 7.0).all(), "a trace does not change with the caller's array"


def bad_cases() -> dict[str, tuple]:
    _, weights, inputs, targets = ready()
    nan, inf = inputs.copy(), inputs.copy()
    nan[3, 1, 0], inf[2, 0, 1] = np.nan, -np.inf
    bad_target = targets.copy()
    bad_target[0, 0] = np.nan
    without = {n: w for n, w in weights.items() if n != "bias_ih_l1"}
    return {
        "inputs of two axes": ("inputs", weights, inputs[:, :, 0], targets),
        "inputs of four axes": ("inputs", weights, inputs[None], targets),
        "no timestep": ("inputs", weights, inputs[:0], targets),
        "no sequence": ("inputs", weights, inputs[:, :0], targets[:0]),
        "no feature": ("inputs", weights, inputs[:, :, :0], targets),
        "NaN inputs": ("inputs", weights, nan, targets),
        "infinite inputs": ("inputs", weights, inf, targets),
        "complex inputs": ("inputs", weights, inputs + 1j, targets),
        "words": ("inputs", weights, np.full(inputs.shape, "a"), targets),
        "ragged inputs": ("inputs", weights, [[[1.0], [2.0, 3.0]]], targets),
        "ragged targets": ("targets", weights, inputs, [[1.0], [2.0, 3.0], [4.0]]),
        "a ragged tensor": ("bias_ih_l0", weights | {"bias_ih_l0": [[1.0], [2.0, 3.0]]}, inputs, targets),
        "None targets": ("targets", weights, inputs, None),
        "None inputs": ("inputs", weights, None, targets),
        "targets of another batch": ("targets", weights, inputs, targets[:2]),
        "targets of another length": ("targets", weights, inputs, np.zeros((5, 3, 3))),
        "NaN targets": ("targets", weights, inputs, bad_target),
        "empty targets": ("targets", weights, inputs, np.zeros((3, 0))),
        "complex targets": ("targets", weights, inputs, targets * 1j),
        "targets wider than the head": ("head.weight|targets", weights, inputs, np.zeros((3, 4))),
        "inputs wider than W_ih": ("weight_ih_l0|inputs", weights, np.zeros((12, 3, 5)), targets),
        "a missing tensor": ("bias_ih_l1", without, inputs, targets),
        "an unknown tensor": ("weight_xy", weights | {"weight_xy": np.zeros(3)}, inputs, targets),
        "a tensor of another shape": ("weight_hh_l1", weights | {"weight_hh_l1": np.zeros((5, 4))}, inputs, targets),
        "a transposed tensor": ("head.weight", weights | {"head.weight": np.zeros((5, 3))}, inputs, targets),
        "a complex weight": ("weight_hh_l1", weights | {"weight_hh_l1": np.ones((5, 5), complex)}, inputs, targets),
        "no weights": ("weight_ih_l0", {}, inputs, targets),
    }


@pytest.mark.parametrize("case", list(bad_cases()))
def test_bad_input_is_refused_by_name(case):
    names, weights, inputs, targets = bad_cases()[case]
    with pytest.raises(ValueError, match=names) as caught:
        engine.probe(small(num_layers=2), weights, inputs, targets)
    assert "allowed" in str(caught.value), str(caught.value)


CLASSES = {
    "too great": np.array([0, 1, 4]),
    "negative": np.array([0, -1, 2]),
    "real": np.array([0.0, 1.0, 2.0]),
    "NaN": np.array([0.0, np.nan, 2.0]),
    "another batch": np.array([0, 1]),
    "one-hot": np.eye(3, dtype=int),
}


@pytest.mark.parametrize("case", list(CLASSES))
def test_bad_classes_are_refused_by_name(case):
    e = small(task="temporal_order")
    weights, (inputs, _) = cases.state_dict(e, 2, 4), cases.data(e, 12, False)
    with pytest.raises(ValueError, match="targets"):
        engine.probe(e, weights, inputs, CLASSES[case])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_has_diverged_can_still_be_looked_at(value):
    e, weights, inputs, targets = ready()
    weights["weight_hh_l1"][0, 1] = value
    trace = engine.probe(e, weights, inputs, targets)
    assert trace.non_finite == "weight_hh_l1"
    assert engine.verdict(trace.log10_grad_norms[0]).kind == "diverged"


def test_torch_tensors_are_arrays():
    import torch

    e, weights, inputs, targets = ready()
    tensors = {name: torch.tensor(w) for name, w in weights.items()}
    found = engine.probe(e, tensors, torch.tensor(inputs), torch.tensor(targets))
    cases.assert_identical(found.grads, engine.probe(e, weights, inputs, targets).grads)


# --- No trace in the host program -----------------------------------------------------------------------------------


def host_state() -> dict[str, object]:
    import numba

    return {
        "BLAS threads": sorted((pool["filepath"], pool["num_threads"]) for pool in threadpoolctl.threadpool_info()),
        "np.geterr": np.geterr(),
        "np.random": str(np.random.get_state()),  # noqa: NPY002 (the global one is what is guarded)
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "numba config": {n: str(getattr(numba.config, n)) for n in dir(numba.config) if n.isupper()},
        "printing": str(np.get_printoptions()),
        "recursion": sys.getrecursionlimit(),
    }


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_of_the_host_changes(threads):
    with threadpoolctl.threadpool_limits(threads), np.errstate(over="raise", divide="raise", invalid="raise"):
        before = host_state()
        for cell in engine.CELLS:
            trainer = engine.Trainer(small(cell=cell, gain=30.0, nonlinearity="relu", clip="none", lr=10.0))
            trainer.advance(12)  # diverges, under an error state that would raise
            trainer.trace()
            _ = trainer.history
        engine.mean_field(small())
        engine.warm_up(small())
        assert host_state() == before


def test_importing_changes_nothing_either():
    code = """
import os, sys, warnings
import numpy as np
import scipy.linalg, numba, pydantic
import threadpoolctl
def state():
    pools = sorted((p["filepath"], p["num_threads"]) for p in threadpoolctl.threadpool_info())
    settings = {n: str(getattr(numba.config, n)) for n in dir(numba.config) if n.isupper()}
    return pools, np.geterr(), str(np.random.get_state()), dict(os.environ), list(warnings.filters), settings
before = state()
import engine
engine.train(engine.Experiment(hidden_size=3, seq_length=5), steps=2)
after = state()
for name, one, other in zip("pools errors random environment warnings numba".split(), before, after):
    assert one == other, (name, one, other)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not run.stderr, "nothing is printed"


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (np.full(3, 2**64 - 1, np.uint64), "targets"),
        (np.full(3, 10**9), "targets"),
        (np.ma.array([0, 1, 2], mask=[True, False, False]), "masked"),
    ],
)
def test_class_targets_that_cannot_be_meant_are_refused(targets, said):
    e = engine.Experiment(task="temporal_order", hidden_size=4, seq_length=10, batch_size=3)
    with pytest.raises(ValueError, match=said):
        engine.probe(e, inputs=engine.probe(e).inputs, targets=targets)


def test_numbers_past_the_range_of_the_type_are_refused_by_name():
    e = engine.Experiment(hidden_size=4, seq_length=10, batch_size=3, dtype="float32")
    p = engine.probe(e)
    with pytest.raises(ValueError, match="inputs"):
        engine.probe(e, inputs=p.inputs.astype(float) * 1e300, targets=p.targets)


@pytest.mark.parametrize("least", [1e-309, 1e-320, 1e-200, 1e200, 1e307])
def test_the_global_norm_is_right_over_the_whole_range(least):
    assert global_norm(np.array([3 * least, 0, 4 * least])) == pytest.approx(5 * least, rel=1e-3)


@pytest.mark.parametrize("bad", [[np.nan, 0, 0], [1, np.nan, 0], [np.inf, 0, 1]])
def test_the_global_norm_never_loses_a_number_that_is_not_finite(bad):
    assert not np.isfinite(global_norm(np.array(bad, float)))


@pytest.mark.parametrize("ask", [engine.mean_field, engine.gradient_flow, engine.lyapunov, engine.Trainer])
def test_a_trace_for_an_experiment_is_refused_by_its_name(ask):
    with pytest.raises(ValueError, match=r"^experiment: Trace; allowed: an engine.Experiment$"):
        ask(engine.probe(engine.Experiment(hidden_size=4, seq_length=5)))


def test_weights_by_another_librarys_names_are_told_who_reads_them():
    with pytest.raises(ValueError, match=r"not known \['fc.bias'\].*load_weights"):
        engine.Trainer(engine.Experiment(), state_dict={"fc.bias": np.zeros(1)})
