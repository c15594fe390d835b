"""The vector language on any machine: packed instructions, equal numbers at every width, exact to the last digits."""

import json
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from numba import types
from numba.extending import intrinsic

import engine
from engine import _jit, pointwise
from engine._jit import FASTMATH, KERNELS
from engine._vec import register_bits
from tests import cases

ROOT = Path(__file__).parent.parent
X86 = platform.machine() in ("x86_64", "AMD64")
on_x86 = pytest.mark.skipif(not X86, reason="knows the names of x86-64's instructions only")
WIDTHS = {bits: {"ENGINE_VECTOR_BITS": bits} for bits in ("128", "256", "512")}
NO_AVX = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+64bit,+cx8,+fxsr,+mmx,+sse,+sse2"}
MACHINES = [*WIDTHS, pytest.param("no AVX", marks=on_x86)]
SIZES = 1, 7, 8, 17, 33  # fewer units than a register holds, one too few, just so many, one too many
CLOSE = {"float64": 1e-12, "float32": 1e-4}  # the order of a few sums, and fused or not, through 12 steps and 3 updates
CHILD = "import sys; from tests import test_engine_vectors as here; here.report(*sys.argv[1:])"


@cache
def numbers(kind: str, dtype: str) -> dict[str, np.ndarray]:
    """All that a pass finds, and the weights after three updates, for odd sizes."""
    found = {}
    for units in SIZES:
        e = engine.Experiment(
            **cases.KINDS[kind], dtype=dtype, hidden_size=units, num_layers=2, batch_size=9, seq_length=12,
            optimizer="sgd", lr=0.1,
        )  # fmt: skip
        trace, trainer = engine.probe(e), engine.Trainer(e)
        trainer.advance(3)
        parts = {
            "hidden": trace.hidden, "outputs": trace.outputs, "log10_grad_norms": trace.log10_grad_norms,
            "losses": trainer.history.loss, "norms": trainer.history.grad_norm,
        }  # fmt: skip
        parts |= {f"∂{name}": g for name, g in trace.grads.items()} | trace.gates | trainer.state_dict
        found |= {f"{name}, H = {units}": value for name, value in parts.items()}
    return found


def instructions() -> dict[str, dict[str, int]]:
    """By kernel: how many multiplications and divisions there are, fused or not, by p (packed) or s and register."""
    found = {}
    for kernel in KERNELS:
        if kernel.stats.cache_hits:  # of code from the cache there is no assembly
            continue
        for asm in kernel.inspect_asm().values():
            operations = re.findall(r"\bv?(mul|div|fn?m(?:add|sub)\d*)(p|s)[sd]\b.*?%([xyz])mm", asm)
            counts = Counter(("div " if name == "div" else "") + how + register for name, how, register in operations)
            found[f"{kernel.__module__}.{kernel.__name__}"] = dict(counts)
    return found


@intrinsic(prefer_literal=True)
def _apply(typingctx, x, y, name):
    """y ← f(x), for arrays (n,)."""
    rule = name.literal_value

    def codegen(context, builder, sig, args):
        a = pointwise._Arrays(context, builder, sig, args, "x y name")
        zero = pointwise.I64(0)

        def body(m, j):
            a.store(m, "y", zero, j, getattr(m, rule)(a.load(m, "x", zero, j)))

        pointwise._over_row(builder, x.dtype.bitwidth, a.shape("x")[0], None, body)
        return context.get_dummy_value()

    return types.void(x, y, name), codegen


APPLIED = {
    "exp": numba.njit(fastmath=FASTMATH)(lambda x, y: _apply(x, y, "exp")),
    "expm1": numba.njit(fastmath=FASTMATH)(lambda x, y: _apply(x, y, "expm1")),
    "tanh": numba.njit(fastmath=FASTMATH)(lambda x, y: _apply(x, y, "tanh")),
    "sigmoid": numba.njit(fastmath=FASTMATH)(lambda x, y: _apply(x, y, "sigmoid")),
}
EXACT = {"exp": np.exp, "expm1": np.expm1, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


def points(name: str, dtype: str) -> np.ndarray:
    """400 000 numbers of both signs: even over all exponents there are, and over where the function does something."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    all_sizes = np.exp2(rng.uniform(np.log2(info.tiny), np.log2(info.max), 100_000)) * rng.choice([-1, 1], 100_000)
    x = np.concatenate([all_sizes, *(rng.uniform(-top, top, 100_000) for top in (1, 20, 800))])
    edges = [0.0, -0.0, info.tiny, -info.tiny, info.max, -info.max, info.smallest_subnormal]
    x = np.concatenate([x, edges]).astype(dtype)
    return x[x <= 40] if name.startswith("exp") else x  # made for no more


def worst_ulp(name: str, dtype: str) -> tuple[float, float]:
    """The largest distance from the exact value, in units of its last bit, and where; 0 may stand for a subnormal."""
    x, info = points(name, dtype), np.finfo(dtype)
    y = np.empty_like(x)
    APPLIED[name](x, y)
    with np.errstate(over="ignore"):
        exact = EXACT[name](x.astype(np.longdouble))
    off = np.abs(y - exact) / np.spacing(np.maximum(np.abs(exact), info.tiny).astype(dtype))
    off[(np.abs(exact) < info.tiny) & (np.abs(y) <= info.tiny)] = 0
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    return float(off[worst]), float(x[worst])


def report(file: str, *chosen: str) -> None:
    """For another process: numbers of the kinds and types into the file; what code that is to standard output."""
    found = {}
    for kind, dtype in (choice.split() for choice in chosen):
        found |= {f"{kind} {dtype} {name}": value for name, value in numbers(kind, dtype).items()}
    np.savez(file, **found)
    ulps = {name: worst_ulp(name, dtype) for name in APPLIED}
    print(json.dumps([instructions(), ulps, _jit.cache_folder()]))


def elsewhere(machine: str, folder: Path, *chosen: str) -> tuple[dict, dict, str]:
    """`report` of a process that makes code for another machine, and no use of what was compiled before."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "ENGINE_"))}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, str(folder / "numbers.npz"), *chosen],
        cwd=ROOT, env=clean | WIDTHS.get(machine, NO_AVX) | {"NUMBA_CACHE_DIR": str(folder)},
        capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with np.load(folder / "numbers.npz") as theirs:
        mine = {f"{c} {name}": value for c in chosen for name, value in numbers(*c.split()).items()}
        assert theirs.files == list(mine)
        for name, value in mine.items():
            cases.assert_close(theirs[name], value, CLOSE[name.split()[1]], name)
    return tuple(json.loads(run.stdout))


def register(machine: str) -> str:
    """The letter of the registers that code for a machine uses on this one: a wider vector takes several."""
    has = llvm.get_host_cpu_features()
    widest = "z" if has.get("avx512f") else "y" if has.get("avx") else "x"
    return min(widest, {"512": "z", "256": "y"}.get(machine, "x"))


@pytest.mark.parametrize(
    ("machine", "choice"),
    [
        ("128", "gru float32"), ("256", "rnn float64"), ("512", "rnn float32"),
        pytest.param("no AVX", "rnn float64", marks=on_x86),
    ],
)  # fmt: skip
def test_another_machine_has_the_same_numbers_from_packed_code(machine, choice, tmp_path):
    code, ulps, folder = elsewhere(machine, tmp_path, choice)
    assert folder.endswith("-128" if machine == "no AVX" else f"-{machine}")
    for name, (off, x) in ulps.items():
        assert off <= 2, f"{name}({x!r}): {off:.3g} ulp off"
    if not X86:
        return
    letter = register(machine)
    for kernel in ("matmul.product", "unroll.forward", "unroll.backward"):
        found = Counter(code[f"engine.{kernel}"])
        packed, single = found["p" + letter], sum(n for what, n in found.items() if what.startswith("s"))
        assert packed >= 20 * max(1, single), f"{kernel}: {found}"
    found = Counter(code["engine.unroll.forward"])  # it alone divides, in tanh and the sigmoid
    assert found[f"div p{letter}"] > 0
    assert not any(what.startswith("div s") for what in found), found


@pytest.mark.slow
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("machine", MACHINES)
def test_another_machine_has_the_same_numbers_for_every_cell(machine, dtype, tmp_path):
    """And the same bits, once more, from what is then in the cache."""
    choices = [f"{kind} {dtype}" for kind in cases.KINDS]
    found = []
    for _ in range(2):
        elsewhere(machine, tmp_path, *choices)
        with np.load(tmp_path / "numbers.npz") as theirs:
            found.append(dict(theirs))
    cases.assert_identical(*found)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", APPLIED)
def test_exact_to_two_units_of_the_last_bit_wherever_there_are_numbers(name, dtype):
    off, x = worst_ulp(name, dtype)
    assert off <= 2, f"{name}({x!r}): {off:.3g} ulp off"


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", APPLIED)
def test_limits(name, dtype):
    """In every place of a register, and behind the last whole one."""
    top = 40.0 if name.startswith("exp") else np.inf
    x = np.tile(np.array([np.nan, top, -np.inf, 0.0, -0.0], dtype), 15)
    y = np.empty_like(x)
    APPLIED[name](x, y)
    limits = {
        "exp": (np.exp(top), 0, 1), "expm1": (np.expm1(top), -1, 0), "tanh": (1, -1, 0), "sigmoid": (1, 0, 0.5),
    }[name]  # fmt: skip
    assert np.isnan(y[::5]).all()
    np.testing.assert_allclose(y.reshape(-1, 5)[:, 1:4], np.tile(limits, (15, 1)), rtol=2 * np.finfo(dtype).eps)


def test_a_wrong_width_is_refused(monkeypatch):
    monkeypatch.setenv("ENGINE_VECTOR_BITS", "100")
    with pytest.raises(ValueError, match="ENGINE_VECTOR_BITS: '100'; allowed: 128, 256, 512"):
        register_bits.__wrapped__()


def test_code_of_another_width_is_never_read(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folders = set()
    for bits in (128, 256, 512):
        monkeypatch.setattr(_jit, "register_bits", lambda bits=bits: bits)
        folders.add(_jit.cache_folder.__wrapped__())
    assert len(folders) == 3
    assert all(Path(folder).parent == tmp_path for folder in folders)
