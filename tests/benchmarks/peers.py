"""One training step against its peers: fused PyTorch, the loop over PyTorch's cells, a jitted jax.lax.scan.

    PYTHONPATH=. .venv/bin/python tests/benchmarks/peers.py [--seconds 1.5] [--cells rnn,lstm] [--sizes 16,32]
        [--dtypes float32] [--threads 1,2] [--json peers.json]

A step is: forward, loss, full BPTT, the mean norm of ∂L/∂h_t for every timestep, clipping by the global norm, Adam, and
the hidden states given out; on one fixed batch of the adding problem, from the same weights. Fused PyTorch gives no
norms and no gradients of states, and is let off. All four take turns in one process for each number of threads; the
medians of wall time are compared. Before that the four have to agree on the loss and its gradient's norm.

All times are milliseconds. "ratio" is against the faster of fused and scan, "loop" against the loop. Also there: the
time of the step's matrix products alone by BLAS (numpy.dot), GFLOP/s counting these products only, and their share of
the peak that nothing but fused multiply-adds reach on as many cores. What a step costs and why: cost.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic

import engine
from engine._vec import FAST, Lanes, register_bits

SIZES = {16: (16, 50), 32: (32, 100), 64: (32, 100), 128: (64, 200), 256: (64, 400)}  # H: (B, T)
BLOCKS = {"rnn": 1, "lstm": 4, "gru": 3}
PEERS = ("engine", "torch fused", "torch loop", "jax scan")


def flops(cell: str, units: int, batch: int, steps: int, inputs: int = 2) -> int:
    """Of the products alone: forward, ∂L/∂h, and the weights' gradient with its bias."""
    return 2 * batch * steps * BLOCKS[cell] * units * (3 * units + 2 * (inputs + 1))


# ------------------------------------------------------------------------------------- what the machine can do
@intrinsic
def _chains(typingctx, count, x):
    """16 independent chains of `count` fused multiply-adds on whole registers: nothing but arithmetic."""

    def codegen(context, builder, sig, args):
        m = Lanes(builder, x.bitwidth)
        y = m.splat(args[1])
        chains = [cgutils.alloca_once_value(builder, y) for _ in range(16)]
        with cgutils.for_range(builder, args[0]):
            for chain in chains:
                z = builder.fmul(builder.load(chain), y, flags=FAST)
                builder.store(builder.fadd(z, y, flags=FAST), chain)
        total = builder.load(chains[0])
        for chain in chains[1:]:
            total = builder.fadd(total, builder.load(chain))
        return m.total(total)

    return x(numba.types.intp, x), codegen


@numba.njit(nogil=True, fastmath={"contract"})
def _run_chains(count, x):
    return _chains(count, x)


def peak(dtype: str) -> float:
    """GFLOP/s of fused multiply-adds alone, the best of many short runs."""
    x, count = np.dtype(dtype).type(0.5), 200_000
    lanes = register_bits() // (8 * x.itemsize)
    _run_chains(10, x)
    best = float("inf")
    for _ in range(50):
        begin = time.perf_counter()
        _run_chains(count, x)
        best = min(best, time.perf_counter() - begin)
    return count * 16 * lanes * 2 / best / 1e9


def blas_step(cell: str, units: int, dtype: str) -> Callable[[], None]:
    """The matrix products of a step and nothing else, by numpy.dot: as many and of the same shapes as the engine's."""
    (batch, steps), width, kind = SIZES[units], BLOCKS[cell] * units, np.dtype(dtype)
    count = -(-steps * batch // 128)
    shapes = [(steps, batch, units + 3, width), (steps, batch, width, units), (count, width, 128, units + 3)]
    work = [
        (times, np.full((m, k), 0.01, kind), np.full((k, n), 0.01, kind), np.empty((m, n), kind))
        for times, m, k, n in shapes
    ]

    def step() -> None:
        for times, a, b, c in work:
            for _ in range(times):
                np.dot(a, b, out=c)

    return step


def experiment(cell: str, units: int, dtype: str) -> engine.Experiment:
    batch, steps = SIZES[units]
    return engine.Experiment(
        cell=cell, hidden_size=units, batch_size=batch, train_size=batch, batching="full", seq_length=steps,
        init="pytorch", gain=1.0, task="adding", clip="norm", clip_threshold=1.0, dtype=dtype,
    )  # fmt: skip


# ------------------------------------------------------------------------------------- the four steps
Step = Callable[[], tuple[float, float]]  # -> loss and ‖g‖ before the update, or what of them is known


def engine_step(e: Any, trainer: Any) -> Step:
    def step() -> tuple[float, float]:
        trainer.advance(1)
        return float("nan"), float("nan")

    return step


def torch_step(e: Any, trace: Any, loop: bool) -> Step:
    import torch
    from torch import nn

    dtype = getattr(torch, e.dtype)
    inputs, targets = torch.tensor(trace.inputs), torch.tensor(trace.targets)
    sizes = inputs.shape[2], e.hidden_size
    layer = {
        ("rnn", False): nn.RNN, ("lstm", False): nn.LSTM, ("gru", False): nn.GRU,
        ("rnn", True): nn.RNNCell, ("lstm", True): nn.LSTMCell, ("gru", True): nn.GRUCell,
    }[e.cell, loop](*sizes, dtype=dtype)  # fmt: skip
    head = nn.Linear(e.hidden_size, targets.shape[1], dtype=dtype)
    state = {name: torch.tensor(np.array(value)) for name, value in trace.state_dict.items()}
    layer.load_state_dict({k: state[k if k in state else f"{k}_l0"] for k in layer.state_dict()})
    head.load_state_dict({k: state[f"head.{k}"] for k in head.state_dict()})
    parameters = [*layer.parameters(), *head.parameters()]
    adam = torch.optim.Adam(parameters, e.lr)

    def unrolled() -> list[Any]:
        h = c = torch.zeros(e.batch_size, e.hidden_size, dtype=dtype)
        states = []
        for x in inputs:
            if e.cell == "lstm":
                h, c = layer(x, (h, c))
            else:
                h = layer(x, h)
            h.retain_grad()
            states.append(h)
        return states

    def step() -> tuple[float, float]:
        adam.zero_grad()
        states = unrolled() if loop else layer(inputs)[0]
        loss = nn.functional.mse_loss(head(states[-1]), targets)
        loss.backward()
        if loop:
            torch.stack([h.grad for h in states]).norm(dim=2).mean(1).numpy()
        norm = nn.utils.clip_grad_norm_(parameters, e.clip_threshold)
        adam.step()
        return loss.item(), norm.item()

    return step


def jax_step(e: Any, trace: Any) -> Step:
    import jax
    import jax.numpy as jnp

    inputs, targets = jnp.asarray(trace.inputs), jnp.asarray(trace.targets)
    weights = {name: jnp.asarray(np.ascontiguousarray(value)) for name, value in trace.state_dict.items()}
    weights = {name: w.T if w.ndim == 2 else w for name, w in weights.items()}
    steps, batch, _ = inputs.shape
    zero = jnp.zeros((batch, e.hidden_size), e.dtype)
    nothing = jnp.zeros((steps, *zero.shape), e.dtype)  # added to every state: its gradient is ∂L/∂h_t

    def cell(w: Any, state: Any, zx: Any) -> Any:
        zh = state[0] @ w["weight_hh_l0"] + w["bias_hh_l0"]
        if e.cell == "rnn":
            return (jnp.tanh(zx + zh),)
        if e.cell == "lstm":
            i, f, g, o = jnp.split(zx + zh, 4, 1)
            c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            return jax.nn.sigmoid(o) * jnp.tanh(c), c
        (xr, xz, xn), (hr, hz, hn) = jnp.split(zx, 3, 1), jnp.split(zh, 3, 1)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        return ((1 - z) * jnp.tanh(xn + r * hn) + z * state[0],)

    def loss(w: Any, added: Any) -> Any:
        def along(state: Any, now: Any) -> Any:
            h, *c = cell(w, state, now[0])
            return (h + now[1], *c), h + now[1]

        zx = inputs @ w["weight_ih_l0"] + w["bias_ih_l0"]
        _, states = jax.lax.scan(along, (zero, zero) if e.cell == "lstm" else (zero,), (zx, added))
        return ((states[-1] @ w["head.weight"] + w["head.bias"] - targets) ** 2).mean(), states

    @jax.jit
    def update(w: Any, m: Any, v: Any, k: Any) -> Any:
        (value, states), (g, flow) = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(w, nothing)
        norms = jnp.linalg.norm(flow, axis=2).mean(1)
        norm = jnp.sqrt(sum((x**2).sum() for x in jax.tree.leaves(g)))
        g = jax.tree.map(lambda x: x * jnp.minimum(1, e.clip_threshold / (norm + 1e-6)), g)
        m = jax.tree.map(lambda a, x: 0.9 * a + 0.1 * x, m, g)
        v = jax.tree.map(lambda a, x: 0.999 * a + 0.001 * x * x, v, g)
        rate, scale = e.lr / (1 - 0.9**k), 1 / jnp.sqrt(1 - 0.999**k)
        w = jax.tree.map(lambda p, a, b: p - (rate * a / (jnp.sqrt(b) * scale + 1e-8)).astype(p.dtype), w, m, v)
        return w, m, v, value, norm, norms, states

    zeros = jax.tree.map(jnp.zeros_like, weights)
    run = [weights, zeros, zeros]
    count = 0

    def step() -> tuple[float, float]:
        nonlocal count
        count += 1
        *run[:], value, norm, norms, states = update(*run, jnp.asarray(count, e.dtype))
        np.asarray(norms), np.asarray(states)
        return float(value), float(norm)

    return step


def agree(e: Any, trainer: Any, steps: dict[str, Step]) -> None:
    """All compute the same thing for three steps, or their times mean nothing."""
    for k in range(3):
        trainer.advance(1)
        ours = float(trainer.history.loss[k]), float(trainer.history.grad_norm[k])
        for name, step in steps.items():
            tolerance = 1e-9 if e.dtype == "float64" else 2e-3
            np.testing.assert_allclose(step(), ours, rtol=tolerance, err_msg=f"{name}, step {k}")


# ------------------------------------------------------------------------------------- measuring
def medians(steps: dict[str, Step], seconds: float, least: int = 5) -> dict[str, float]:
    """ms of wall time of one call of each, all taking turns of 10 ms, or of one call that is longer."""
    repeats = {}
    for name, step in steps.items():
        step()
        begin = time.perf_counter()
        step()
        repeats[name] = max(1, round(1e-2 / (time.perf_counter() - begin)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["engine"]) < least:
        for name, step in steps.items():
            step()  # what the peer before left in caches and threads is not this one's
            begin = time.perf_counter()
            for _ in range(repeats[name]):
                step()
            times[name].append((time.perf_counter() - begin) / repeats[name])
    return {name: 1e3 * statistics.median(t) for name, t in times.items()}


def compare(cell: str, units: int, dtype: str, seconds: float, threads: int) -> dict[str, Any]:
    e = experiment(cell, units, dtype)
    trainer = engine.Trainer(e, validate_every=0, threads=threads)
    trace = trainer.trace()
    peers = {
        "torch fused": torch_step(e, trace, loop=False),
        "jax scan": jax_step(e, trace),
        "torch loop": torch_step(e, trace, loop=True),
    }
    agree(e, trainer, peers)
    ms = medians({"engine": engine_step(e, trainer), **peers, "BLAS": blas_step(cell, units, dtype)}, seconds)
    batch, steps = SIZES[units]
    speed = flops(cell, units, batch, steps) / ms["engine"] / 1e6
    return {
        "cell": cell, "H": units, "B": batch, "T": steps, "dtype": dtype, "ms": ms,
        "ratio": min(ms["torch fused"], ms["jax scan"]) / ms["engine"], "loop": ms["torch loop"] / ms["engine"],
        "gflops": speed, "of peak": speed / (threads * peak(dtype)),
    }  # fmt: skip


def measure(options: argparse.Namespace) -> None:
    """The rows for one number of threads, in a process of its own: JAX and BLAS read it when they are loaded."""
    import jax
    import torch

    torch.set_num_threads(options.one)
    torch.set_flush_denormal(True)
    jax.config.update("jax_enable_x64", True)
    rows = []
    for dtype in options.dtypes:
        for units in options.sizes:
            for cell in options.cells:
                row = compare(cell, units, dtype, options.seconds, options.one)
                rows.append(row | {"threads": options.one})
                ms = row["ms"]
                print(
                    f"{options.one} {dtype} {cell:4} {units:4},{row['B']:3},{row['T']:4}"
                    + "".join(f"{ms[name]:13.3f}" for name in (*PEERS, "BLAS"))
                    + f"{row['ratio']:8.2f}{row['loop']:8.1f}{row['gflops']:9.1f}{row['of peak']:9.0%}",
                    flush=True,
                )
    options.json.write_text(json.dumps(rows))


def in_process(options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    environment = os.environ | {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    if threads == 1:
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        lists = [f"--{n}={','.join(map(str, getattr(options, n)))}" for n in ("sizes", "cells", "dtypes")]
        command = [sys.executable, __file__, f"--one={threads}", f"--json={out}", f"--seconds={options.seconds}"]
        subprocess.run([*command, *lists], env=environment, check=True)
        return json.loads(out.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.5, help="of measuring for each row, at least")
    parser.add_argument("--cells", type=lambda s: s.split(","), default=list(BLOCKS))
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")], default=list(SIZES))
    parser.add_argument("--dtypes", type=lambda s: s.split(","), default=["float64", "float32"])
    parser.add_argument("--threads", type=lambda s: [int(n) for n in s.split(",")], default=[1, 2])
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options)
        return
    print(
        "t dtype   cell    H,  B,   T "
        + "".join(f"{name:>13}" for name in (*PEERS, "BLAS"))
        + "   ratio    loop  GFLOP/s  of peak"
    )
    rows = [row for threads in options.threads for row in in_process(options, threads)]
    for threads in options.threads:
        mine = [row for row in rows if row["threads"] == threads]
        ratios = [row["ratio"] for row in mine]
        print(f"{threads} thread(s): geometric mean {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
