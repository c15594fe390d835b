"""The elementwise half of a timestep, for every cell: Numba intrinsics that emit the cell's own mathematics.

Arrays are C-contiguous: zx, zh (B, k·H); dzx, dzh (n, B, k·H), bias (k·H,); hidden, memory (T+1, B, H);
saved (T, B, s·H); dh, dc (B, H). `cell` is the weights NamedTuple, whose class says the cell; `activation` its number.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine._vec import I64, Lanes, Value, register_bits
from engine.cells import KINDS, Cell

BY_CLASS: dict[type, Cell] = {row.weights: row for row in KINDS.values()}


class _Arrays:
    """The arguments of an intrinsic: data pointers and shapes by name."""

    def __init__(self, context: Any, builder: ir.IRBuilder, sig: Any, args: Any, names: str) -> None:
        self._args = {
            name: context.make_array(kind)(context, builder, value) if isinstance(kind, types.Array) else value
            for name, kind, value in zip(names.split(), sig.args, args, strict=True)
        }
        self._builder = builder

    def pointer(self, name: str) -> Any:
        return self._args[name].data

    def value(self, name: str) -> Any:
        return self._args[name]

    def shape(self, name: str) -> list[Any]:
        return cgutils.unpack_tuple(self._builder, self._args[name].shape)


def _over_row(b: ir.IRBuilder, bits: int, units: Any, activation: Any, body: Callable[[Lanes, Any], None]) -> None:
    """Run body(m, j) for j = 0 … units−1: whole registers first, then one unit at a time."""
    lanes = register_bits() // bits
    whole = b.sub(units, b.urem(units, I64(lanes)))
    with cgutils.for_range_slice(b, I64(0), whole, I64(lanes), inc=True) as (j, _):
        body(Lanes(b, bits, lanes, activation), j)
    with cgutils.for_range_slice(b, whole, units, I64(1), inc=True) as (j, _):
        body(Lanes(b, bits, 1, activation), j)


def _blocks(b: ir.IRBuilder, row: Any, count: int, units: Any, j: Any) -> list[Any]:
    """Offsets of unit j in each of the `count` blocks of a row."""
    start = b.mul(row, b.mul(I64(count), units))
    return [b.add(b.add(start, b.mul(I64(k), units)), j) for k in range(count)]


def _biased(m: Lanes, a: _Arrays, z: str, bias: str, row: Any, count: int, units: Any, j: Any) -> list[Value]:
    """The `count` blocks of z + b at unit j of a row."""
    offsets, at_bias = _blocks(m.b, row, count, units, j), _blocks(m.b, I64(0), count, units, j)
    return [m.load(a.pointer(z), o) + m.load(a.pointer(bias), c) for o, c in zip(offsets, at_bias, strict=True)]


@intrinsic
def is_gated(typingctx, cell):
    """1 where the last block of weight_hh multiplies what `gated` gives, else 0: a constant, so the branch is free."""
    count = int(BY_CLASS[cell.instance_class].gated is not None)

    def codegen(context, builder, sig, args):
        return I64(count)

    return types.intp(cell), codegen


@intrinsic
def gated(typingctx, cell, zx, zh, bias_ih, bias_hh, hidden, saved, t):
    """What the last block of weight_hh multiplies instead of h, into the last block of saved[t]."""
    row = BY_CLASS[cell.instance_class]
    sig = types.void(cell, zx, zh, bias_ih, bias_hh, hidden, saved, types.intp)

    def codegen(context, builder, sig, args):
        if row.gated is None:
            return context.get_dummy_value()
        rule = row.gated
        a = _Arrays(context, builder, sig, args, "cell zx zh bias_ih bias_hh hidden saved t")
        b, k = builder, row.blocks
        _, batch, units = a.shape("hidden")
        with cgutils.for_range(b, batch) as loop:
            r = loop.index
            old_row = b.add(b.mul(a.value("t"), batch), r)

            def body(m: Lanes, j: Any) -> None:
                z_x = _biased(m, a, "zx", "bias_ih", r, k, units, j)
                z_h = _biased(m, a, "zh", "bias_hh", r, k, units, j)
                h = m.load(a.pointer("hidden"), b.add(b.mul(old_row, units), j))
                at = _blocks(b, old_row, len(row.saved), units, j)[-1]
                m.store(a.pointer("saved"), at, rule(m, z_x, z_h, (h,)))

            _over_row(b, zx.dtype.bitwidth, units, None, body)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def step(typingctx, cell, activation, zx, zh, bias_ih, bias_hh, hidden, memory, saved, t):
    """State t -> state t+1, and what the pullback needs into saved[t]."""
    row = BY_CLASS[cell.instance_class]
    sig = types.void(cell, types.intp, zx, zh, bias_ih, bias_hh, hidden, memory, saved, types.intp)

    def codegen(context, builder, sig, args):
        a = _Arrays(context, builder, sig, args, "cell activation zx zh bias_ih bias_hh hidden memory saved t")
        b, t, k = builder, a.value("t"), row.blocks
        _, batch, units = a.shape("hidden")
        states = [a.pointer(name) for name in ("hidden", "memory")[: row.states]]
        with cgutils.for_range(b, batch) as loop:
            r = loop.index
            old_row = b.add(b.mul(t, batch), r)
            new_row = b.add(old_row, batch)

            def body(m: Lanes, j: Any) -> None:
                old = b.add(b.mul(old_row, units), j)
                new = b.add(b.mul(new_row, units), j)
                z_x = _biased(m, a, "zx", "bias_ih", r, k, units, j)
                z_h = _biased(m, a, "zh", "bias_hh", r, k, units, j)
                state, keep = row.step(m, z_x, z_h, tuple(m.load(p, old) for p in states))
                for p, x in zip(states, state, strict=True):
                    m.store(p, new, x)
                for o, x in zip(_blocks(b, old_row, len(row.saved), units, j), keep, strict=True):
                    m.store(a.pointer("saved"), o, x)

            _over_row(b, zx.dtype.bitwidth, units, a.value("activation"), body)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def pullback(typingctx, cell, activation, saved, hidden, memory, dh, dc, dzx, dzh, t, slot):
    """dh, dc at state t+1 -> dzx[slot], dzh[slot]; and dh, dc at state t, as far as not through W_hh, in place.

    Returns (Σ over the batch of ‖dh‖₂, the same of ‖dc‖₂), float64, of the gradients that came in.
    """
    row = BY_CLASS[cell.instance_class]
    sig = types.UniTuple(types.float64, 2)(
        cell, types.intp, saved, hidden, memory, dh, dc, dzx, dzh, types.intp, types.intp
    )

    def codegen(context, builder, sig, args):
        a = _Arrays(context, builder, sig, args, "cell activation saved hidden memory dh dc dzx dzh t slot")
        b, t, k, bits = builder, a.value("t"), row.blocks, dh.dtype.bitwidth
        _, batch, units = a.shape("hidden")
        states = [a.pointer(name) for name in ("hidden", "memory")[: row.states]]
        gradients = [a.pointer(name) for name in ("dh", "dc")[: row.states]]
        double = ir.DoubleType()
        lanes = register_bits() // bits
        wide = ir.VectorType(double, lanes)
        square = b.module.declare_intrinsic("llvm.sqrt", [double])
        totals = [cgutils.alloca_once_value(b, ir.Constant(double, 0.0)) for _ in range(2)]
        vectors = [cgutils.alloca_once(b, wide) for _ in gradients]
        scalars = [cgutils.alloca_once(b, double) for _ in gradients]
        with cgutils.for_range(b, batch) as loop:
            r = loop.index
            old_row = b.add(b.mul(t, batch), r)
            new_row = b.add(old_row, batch)
            for v, s in zip(vectors, scalars, strict=True):
                b.store(ir.Constant(wide, [0.0] * lanes), v)
                b.store(ir.Constant(double, 0.0), s)

            def body(m: Lanes, j: Any) -> None:
                here, old, new = (b.add(b.mul(q, units), j) for q in (r, old_row, new_row))
                arriving = tuple(m.load(p, here) for p in gradients)
                for x, v, s in zip(arriving, vectors, scalars, strict=True):  # squares in float64: no underflow
                    many = m.lanes > 1
                    y = x.v if many else b.extract_element(x.v, I64(0))
                    y = y if bits == 64 else b.fpext(y, wide if many else double)
                    total = v if many else s
                    b.store(b.fadd(b.fmul(y, y, flags=("contract",)), b.load(total), flags=("contract",)), total)
                dx, dh_, carried = row.pullback(
                    m,
                    tuple(m.load(a.pointer("saved"), o) for o in _blocks(b, old_row, len(row.saved), units, j)),
                    tuple(m.load(p, old) for p in states),
                    tuple(m.load(p, new) for p in states),
                    arriving,
                )
                for name, values in [("dzx", dx)] if row.one_dz else [("dzx", dx), ("dzh", dh_)]:
                    for o, x in zip(
                        _blocks(b, b.add(b.mul(a.value("slot"), batch), r), k, units, j), values, strict=True
                    ):
                        if x is not None:
                            m.store(a.pointer(name), o, x)
                for p, x in zip(gradients, carried, strict=True):
                    if x is not None:
                        m.store(p, here, x)

            _over_row(b, bits, units, a.value("activation"), body)
            m = Lanes(b, 64, lanes)
            for total, v, s in zip(totals, vectors, scalars, strict=False):
                norm = b.call(square, [b.fadd(m.wide_sum(b.load(v)), b.load(s))])
                b.store(b.fadd(b.load(total), norm), total)
        return context.make_tuple(b, sig.return_type, [b.load(total) for total in totals])

    return sig, codegen


@intrinsic
def gated_pullback(typingctx, cell, saved, hidden, dh, dz, t, slot):
    """The gradient of what `gated` gave -> the first block of dz[slot], in its place; and what it adds to dh."""
    row = BY_CLASS[cell.instance_class]
    sig = types.void(cell, saved, hidden, dh, dz, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        if row.gated_pullback is None:
            return context.get_dummy_value()
        rule = row.gated_pullback
        a = _Arrays(context, builder, sig, args, "cell saved hidden dh dz t slot")
        b = builder
        _, batch, units = a.shape("hidden")
        with cgutils.for_range(b, batch) as loop:
            r = loop.index
            old_row, dz_row = (b.add(b.mul(a.value(at), batch), r) for at in ("t", "slot"))

            def body(m: Lanes, j: Any) -> None:
                here, old = (b.add(b.mul(q, units), j) for q in (r, old_row))
                at_first = _blocks(b, dz_row, row.blocks, units, j)[0]
                first, through_a = rule(
                    m,
                    tuple(m.load(a.pointer("saved"), o) for o in _blocks(b, old_row, len(row.saved), units, j)),
                    (m.load(a.pointer("hidden"), old),),
                    m.load(a.pointer("dz"), at_first),
                )
                m.store(a.pointer("dz"), at_first, first)
                m.store(a.pointer("dh"), here, m.load(a.pointer("dh"), here) + through_a)

            _over_row(b, dh.dtype.bitwidth, units, None, body)
        return context.get_dummy_value()

    return sig, codegen
