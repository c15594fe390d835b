"""Speed without a price: the same bits in any number of threads, no allocation in the loop, no subnormal numbers."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import engine
from engine import network as networks
from engine.network import Network
from engine.parameters import Parameters
from tests import cases
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def cut_small_batches(monkeypatch):
    """Into halves, which else only longer steps are worth."""
    monkeypatch.setattr(networks, "SHARD_WORK", 0)


def small(**changes: object) -> engine.Experiment:
    defaults = {"hidden_size": 17, "num_layers": 2, "batch_size": 33, "seq_length": 10, "lr": 0.01}
    return engine.Experiment(**(defaults | changes))


def result(e: engine.Experiment, threads: int, steps: int = 4) -> dict[str, object]:
    """All that a training run shows: weights, history, the pass that comes next."""
    trainer = engine.Trainer(e, validate_every=2, threads=threads)
    trainer.advance(steps)
    trace = trainer.trace()
    found = dict(vars(trainer.history)) | {f"trace.{name}": value for name, value in vars(trace).items()}
    for name, tensors in (("gates", trace.gates), ("grads", trace.grads), ("weights", trainer.state_dict)):
        found |= {f"{name}.{tensor}": value for tensor, value in tensors.items()}
    return {name: value for name, value in found.items() if not isinstance(value, dict) and hasattr(value, "dtype")}


def assert_same_bits(one: dict, other: dict) -> None:
    assert list(one) == list(other)
    assert len(one) > 20
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("batch_size", [7, 32, 33, 50])
@pytest.mark.parametrize("kind", cases.KINDS)
def test_threads_do_not_change_a_bit(kind, batch_size):
    """Halves of a batch from 32 sequences on; one thread computes the same halves."""
    e = small(**cases.KINDS[kind], batch_size=batch_size)
    alone = result(e, 1)
    for threads in (2, 3):
        assert_same_bits(alone, result(e, threads))


@pytest.mark.parametrize("kind", cases.KINDS)
def test_the_halves_make_the_whole(kind, monkeypatch):
    """What the other tests compare with PyTorch and the naive twin in one piece is the same in two."""
    e = small(**cases.KINDS[kind], tbptt=4, dropout=0.3)
    halves = result(e, 1)
    monkeypatch.setattr(networks, "SHARD_WORK", 10**9)
    whole = result(e, 1)
    assert list(halves) == list(whole)
    for name, value in halves.items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.3}, {"dropout": 0.3, "variational_dropout": True}, {"tbptt": 4}, {"num_layers": 1},
        {"task": "text", "embedding_dim": 5}, {"task": "temporal_order"}, {"omega": 0.5}, {"dtype": "float32"},
        {"train_size": 70, "batch_size": 32},
    ],
    ids=str,
)  # fmt: skip
def test_threads_do_not_change_a_bit_of_anything_else(changes):
    e = small(**changes)
    assert_same_bits(result(e, 1), result(e, 2))


def test_trainers_side_by_side_have_the_numbers_they_have_alone():
    """Each of them with two threads, out of the same few."""
    experiments = [small(**choice, seed=k) for k, choice in enumerate(cases.KINDS.values())]
    alone, found = [result(e, 1, 15) for e in experiments], {}

    def work(k: int) -> None:
        found[k] = result(experiments[k], 2, 15)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(experiments))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, numbers in enumerate(alone):
        assert_same_bits(numbers, found[k])


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2", None])
def test_a_wrong_number_of_threads_is_refused(threads):
    for call in (lambda: engine.Trainer(small(), threads=threads), lambda: engine.train(small(), 1, threads=threads)):
        with pytest.raises(ValueError, match=r"threads: .*allowed: whole numbers"):
            call()


def test_kernels_let_others_run():
    """While one of them computes, a thread in Python goes on counting: it would stand still for as long as it takes."""
    e = small(cell="lstm", hidden_size=128, num_layers=1, batch_size=16, seq_length=1000)
    network, inputs = network_of(e)
    network.forward(inputs)
    at: list[float] = []
    ended = threading.Event()

    def count() -> None:
        while not ended.is_set():
            at.append(time.perf_counter())
            time.sleep(1e-3)

    counter = threading.Thread(target=count)
    counter.start()
    begin = time.perf_counter()
    network.shards[0].forward(inputs)
    end = time.perf_counter()
    ended.set()
    counter.join()
    counted = [x for x in at if begin < x < end]
    assert len(counted) > 5, f"{len(counted)} in {end - begin:.3g} s"
    assert counted[-1] - counted[0] > 0.5 * (end - begin)


def network_of(e: engine.Experiment) -> tuple[Network, np.ndarray]:
    weights = engine.Trainer(e).state_dict
    parameters = Parameters(e.kind, {name: w.shape for name, w in weights.items()}, np.dtype(e.dtype))
    for name, w in weights.items():
        parameters[name][...] = w
    inputs = np.array(engine.probe(e).inputs)
    return Network(e.kind, e.nonlinearity, parameters, len(inputs), e.batch_size, False), inputs


ALLOCATED = """
import gc, json, tracemalloc
import engine
from engine import network, record
from tests import cases
from tests.conftest import ROOT
from tests.test_engine_threads import small

network.SHARD_WORK, record.MOST_ROWS = 0, 16
found = {}
for kind, fields in cases.KINDS.items():
    e = small(**fields, hidden_size=32, batch_size=32, seq_length=100, train_size=32, batching="full")
    for threads in (1, 2):
        engine.Trainer(e, validate_every=0, threads=threads).advance(66)
        trainer = engine.Trainer(e, validate_every=0, threads=threads)
        tracemalloc.start()
        trainer.advance(16)
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        trainer.advance(50)
        gc.collect()
        found[f"{kind} {threads}"] = [before, *tracemalloc.get_traced_memory()]
        tracemalloc.stop()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def allocated() -> dict[str, list[int]]:
    """Bytes before 50 steps, after them, and the most meanwhile: in a process where no other thread works."""
    run = subprocess.run([sys.executable, "-c", ALLOCATED], cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", cases.KINDS)
def test_training_allocates_nothing(allocated, kind, threads):
    """50 steps on one full batch, beyond the first ones: what a pass needs, megabytes, is there already.

    After 64 steps of at most 16 rows of norms there are fewer of them than after 16. The second run is judged: in the
    first one a compiler may still leave something behind.
    """
    before, after, peak = allocated[f"{kind} {threads}"]
    assert before > 4 << 20
    assert after <= before, "seven rows less, 28 kB: more than 560 bytes a step that stay would be seen"
    assert peak - before <= 128 << 10, "of small arrays, outputs and their gradients, and of Python's own"


def subnormal(x: np.ndarray) -> int:
    return int(np.count_nonzero((x != 0) & (np.abs(x) < np.finfo(x.dtype).tiny)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", cases.KINDS)
def test_a_vanishing_gradient_stores_no_subnormal_number(kind, dtype):
    """They are 10 to 50 times slower; a number below the range is 0, and the norms have their exponents beside them."""
    length = {"float32": 200, "float64": 2000}[dtype]
    e = small(
        **cases.KINDS[kind], gain=0.1, forget_bias=-2.0, seq_length=length, batch_size=5, dtype=dtype, num_layers=1
    )
    trainer = engine.Trainer(e, validate_every=0)
    trainer.advance(3)
    log10 = trainer.trace().log10_grad_norms
    assert log10.min() < np.log10(np.finfo(dtype).tiny), "it has to vanish past the range of the type"
    for network in trainer._networks.values():
        assert subnormal(network.gradient.flat) == 0, "gradient"
        for shard in network.shards:
            dh, dc, dz = shard._scratch
            buffers = {"dh": dh, "dc": dc, "dz": dz, "arriving": shard._arriving[0], "norms": shard.norms}
            buffers |= {f"dw {k}": x for k, x in enumerate(shard.dw[0])}
            for name, x in buffers.items():
                assert subnormal(x) == 0, f"{name}: {subnormal(x)} of {x.size}"
