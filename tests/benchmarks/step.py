"""How much faster is one training step than the loop over cells that one writes in PyTorch to see every ‖∂L/∂h_t‖?

    make bench, or: PYTHONPATH=. .venv/bin/python tests/benchmarks/step.py [--rounds 15] [--json step.json]

Both draw the same batches and give the same outputs: loss, the mean norm of ∂L/∂h_t for every timestep, all weights
after Adam with clipping by norm. One thread each, CPU time; subnormals flushed for torch, which would else slow down on
vanished gradients; the two take turns within each round, and medians are compared. Then what a fresh process with an
empty cache pays to compile.
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

import numpy as np
import torch
from torch import nn

import engine
from engine.data import batch

CASES = {
    "default": engine.Experiment(),
    "default, float32": engine.Experiment(dtype="float32"),
    "lstm": engine.Experiment(cell="lstm"),
    "gru": engine.Experiment(cell="gru"),
    "rnn, H=128, T=200, B=64": engine.Experiment(hidden_size=128, seq_length=200, batch_size=64),
    "lstm, H=128, T=200, B=64, float32": engine.Experiment(
        cell="lstm", hidden_size=128, seq_length=200, batch_size=64, dtype="float32"
    ),
    "gru, 3 layers": engine.Experiment(cell="gru", num_layers=3),
}
CELLS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}


class Loop:
    """A user's PyTorch: cells in a Python loop, retain_grad on every state, Adam, clip_grad_norm_."""

    def __init__(self, e: engine.Experiment) -> None:
        trainer, kind = engine.Trainer(e), getattr(torch, e.dtype)
        trace = trainer.trace()
        self.e, self.kind = e, kind
        self.step = 0
        sizes = [trace.inputs.shape[2]] + [e.hidden_size] * e.num_layers
        self.cells = [CELLS[e.cell](sizes[k], e.hidden_size, dtype=kind) for k in range(e.num_layers)]
        self.head = nn.Linear(e.hidden_size, trace.targets.shape[1], dtype=kind)
        for k, cell in enumerate(self.cells):
            names = [name for name, _ in cell.named_parameters()]
            cell.load_state_dict({name: torch.tensor(np.array(trace.state_dict[f"{name}_l{k}"])) for name in names})
        for name in ("weight", "bias"):
            getattr(self.head, name).data = torch.tensor(np.array(trace.state_dict[f"head.{name}"]))
        self.parameters = [p for module in (*self.cells, self.head) for p in module.parameters()]
        self.adam = torch.optim.Adam(self.parameters, e.lr)

    def __call__(self) -> tuple[float, np.ndarray]:
        self.adam.zero_grad()
        inputs, targets = (torch.from_numpy(a) for a in batch(self.e, self.step))
        self.step += 1
        e, below, states = self.e, list(inputs), []
        for cell in self.cells:
            h = c = torch.zeros(e.batch_size, e.hidden_size, dtype=self.kind)
            above = []
            for x in below:
                if e.cell == "lstm":
                    h, c = cell(x, (h, c))
                else:
                    h = cell(x, h)
                h.retain_grad()
                above.append(h)
            states.append(above)
            below = above
        loss = nn.functional.mse_loss(self.head(below[-1]), targets)
        loss.backward()
        norms = torch.stack([torch.stack([h.grad for h in layer]).norm(dim=2).mean(1) for layer in states])
        nn.utils.clip_grad_norm_(self.parameters, e.clip_threshold)
        self.adam.step()
        return loss.item(), norms.numpy()


class Engine:
    """The engine's step as it trains; the norms come out with the trainer's rows."""

    def __init__(self, e: engine.Experiment) -> None:
        self.trainer = engine.Trainer(e, validate_every=0)

    def __call__(self) -> None:
        self.trainer.advance(1)


def same(e: engine.Experiment) -> None:
    """The two compute the same thing, or their times mean nothing."""
    loop, trainer = Loop(e), engine.Trainer(e)
    loss, norms = loop()
    trace = trainer.trace()
    tolerance = 1e-9 if e.dtype == "float64" else 1e-3
    np.testing.assert_allclose(trace.loss, loss, rtol=tolerance)
    visible = trace.grad_norms > 1e-30  # torch flushes the rest to 0 in float32
    np.testing.assert_allclose(trace.grad_norms[visible], norms[visible], rtol=tolerance)


def seconds(step: Callable[[], object], least: float = 0.05) -> float:
    """CPU seconds of one call (what else the machine does is left out), over as many calls as take `least` of them."""
    calls, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < least or not calls:
        step()
        calls += 1
    return spent / calls


def compare(e: engine.Experiment, rounds: int) -> dict[str, float]:
    same(e)
    peers = {"engine": Engine(e), "torch": Loop(e)}
    for step in peers.values():
        seconds(step)  # warm caches and allocators
    times: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, step in peers.items():
            times[name].append(seconds(step))
    ours, theirs = (1e3 * statistics.median(times[name]) for name in ("engine", "torch"))
    ratios = sorted(b / a for a, b in zip(times["engine"], times["torch"], strict=True))
    return {
        "engine ms": ours,
        "torch loop ms": theirs,
        "ratio": theirs / ours,
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


COLD = """
import os, time, resource, sys, json
import engine
cell, dtype = sys.argv[1:]
def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
begin = cpu()
for one in cell.split(","):
    for optimizer in engine.OPTIMIZERS if "," in cell else ["adam"]:
        for clip in engine.CLIPS if "," in cell else ["norm"]:
            engine.warm_up(engine.Experiment(cell=one, dtype=dtype, optimizer=optimizer, clip=clip))
    engine.warm_up(engine.Experiment(cell=one, dtype=dtype, task="sine"))
    engine.warm_up(engine.Experiment(cell=one, dtype=dtype, task="temporal_order"))
print(cpu() - begin)
"""


def compile_seconds(cell: str, dtype: str, folder: str) -> float:
    """CPU seconds of engine.warm_up in a fresh process, imports left out, with the cache in `folder`."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", COLD, cell, dtype]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)

    print(f"{'one training step':36}{'engine ms':>11}{'torch loop ms':>15}{'ratio':>8}   over rounds")
    steps = {}
    for name, e in CASES.items():
        row = steps[name] = compare(e, options.rounds)
        print(
            f"{name:36}{row['engine ms']:11.3f}{row['torch loop ms']:15.2f}{row['ratio']:8.1f}"
            f"   {row['lowest']:.1f}–{row['highest']:.1f}"
        )
    print(f"\n{'compiling, CPU seconds':36}{'no cache':>11}{'from the cache':>15}")
    compiling = {}
    every = ",".join(engine.CELLS)
    for cell, dtype in [*((c, d) for d in ("float64", "float32") for c in engine.CELLS), (every, "float64")]:
        with tempfile.TemporaryDirectory() as folder:
            cold, warm = (compile_seconds(cell, dtype, folder) for _ in range(2))
        name = f"{'whole engine' if cell == every else cell}, {dtype}"
        compiling[name] = {"cold": cold, "warm": warm}
        print(f"{name:36}{cold:11.2f}{warm:15.2f}")
    if options.json:
        options.json.write_text(json.dumps({"steps": steps, "compiling": compiling}, indent=2))


if __name__ == "__main__":
    main()
