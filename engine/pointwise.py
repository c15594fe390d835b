"""The elementwise half of a timestep, for every cell: Numba intrinsics that emit the cell's own mathematics.

Arrays are C-contiguous, and their rows may be longer than what they hold: rows (T+1, B, ≥ H) begin with the states h;
z (B, ≥ s·H) and dz (n, B, ≥ s·H) are the cell's `sums` blocks; saved (T, B, ≥ k·H in whole
registers); memory (T+1, B, H): the cells c, or in a gated cell a; dh, dc (B, H).
`cell` is the weights NamedTuple, whose class says the cell; `activation` its number.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine._vec import I64, Lanes, Value, register_bits
from engine.activations import NUMBERS
from engine.cells import KINDS, Cell

BY_CLASS: dict[type, Cell] = {row.weights: row for row in KINDS.values()}


class _Arrays:
    """The arguments of an intrinsic: data pointers and shapes by name; and where a unit's numbers lie."""

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

    def at(self, name: str, row: Any, j: Any) -> Any:
        """The offset of number j in a row, counted through all leading axes."""
        return self._builder.add(self._builder.mul(row, self.shape(name)[-1]), j)

    def load(self, m: Lanes, name: str, row: Any, j: Any) -> Any:
        return m.load(self.pointer(name), self.at(name, row, j))

    def store(self, m: Lanes, name: str, row: Any, j: Any, x: Any) -> None:
        m.store(self.pointer(name), self.at(name, row, j), x)

    def blocks(self, m: Lanes, name: str, row: Any, j: Any, units: Any, count: int) -> tuple[Any, ...]:
        """Unit j of each of `count` blocks of a row."""
        b = self._builder
        return tuple(self.load(m, name, row, b.add(j, b.mul(I64(k), units))) for k in range(count))

    def store_blocks(self, m: Lanes, name: str, row: Any, j: Any, units: Any, values: Any) -> None:
        """The reverse; None: left as it is."""
        b = self._builder
        for k, x in enumerate(values):
            if x is not None:
                self.store(m, name, row, b.add(j, b.mul(I64(k), units)), x)

    def _saved_at(self, m: Lanes, row: Any, j: Any, count: int, k: int) -> Any:
        b = self._builder
        return b.add(self.at("saved", row, b.mul(j, I64(count))), I64(k * m.lanes))

    def saved(self, m: Lanes, row: Any, j: Any, count: int) -> tuple[Any, ...]:
        """What `step` saved at unit j: register after register, so that a pass through them is one stream."""
        where = [self._saved_at(m, row, j, count, k) for k in range(count)]
        return tuple(m.load(self.pointer("saved"), at, whole=True) for at in where)

    def store_saved(self, m: Lanes, row: Any, j: Any, values: Any) -> None:
        for k, x in enumerate(values):
            m.store(self.pointer("saved"), self._saved_at(m, row, j, len(values), k), x, whole=True)


def _over_row(b: ir.IRBuilder, bits: int, units: Any, activation: Any, body: Callable[[Lanes, Any], None]) -> None:
    """Run body(m, j) for the units from j on, a whole register of them, and then for those that are left.

    Twice where there is an activation: tanh is what nearly all use, and needs no call. The others always look what is
    left, which costs less than compiling the body once more.
    """
    lanes = register_bits() // bits
    if activation is not None:
        with b.if_else(b.icmp_signed("==", activation, I64(NUMBERS["tanh"]))) as (tanh, other):
            with tanh:
                _over_row(b, bits, units, None, body)
            with other, cgutils.for_range_slice(b, I64(0), units, I64(lanes), inc=True) as (j, _):
                body(Lanes(b, bits, activation, columns=b.sub(units, j)), j)
        return
    rest = b.urem(units, I64(lanes))
    whole = b.sub(units, rest)
    with cgutils.for_range_slice(b, I64(0), whole, I64(lanes), inc=True) as (j, _):
        body(Lanes(b, bits), j)
    with b.if_then(b.icmp_signed(">", rest, I64(0))):
        body(Lanes(b, bits, columns=rest), whole)


def _constant(typingctx: Any, cell: Any, value: Callable[[Cell], int]) -> Any:
    count = int(value(BY_CLASS[cell.instance_class]))
    return types.intp(cell), lambda context, builder, sig, args: I64(count)


@intrinsic
def is_gated(typingctx, cell):
    """1 where the last block of weight_hh multiplies what `gated` gives, else 0: a constant, so the branch is free."""
    return _constant(typingctx, cell, lambda row: row.gated is not None)


@intrinsic
def is_apart(typingctx, cell):
    """1 where the last gate's W_ih x + b_ih is a block of its own in z, else 0."""
    return _constant(typingctx, cell, lambda row: row.apart)


@intrinsic
def carries_h(typingctx, cell):
    """1 where h' depends on h directly too, else 0."""
    return _constant(typingctx, cell, lambda row: row.carries_h)


@intrinsic
def gated(typingctx, cell, z, rows, memory, units, t):
    """What the last block of weight_hh multiplies instead of h, into memory[t]."""
    row = BY_CLASS[cell.instance_class]
    sig = types.void(cell, z, rows, memory, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        if row.gated is None:
            return context.get_dummy_value()
        rule = row.gated
        a = _Arrays(context, builder, sig, args, "cell z rows memory units t")
        b, units = builder, a.value("units")
        batch = a.shape("z")[0]
        with cgutils.for_range(b, batch) as loop:
            r = loop.index
            old = b.add(b.mul(a.value("t"), batch), r)

            def body(m: Lanes, j: Any) -> None:
                z = a.blocks(m, "z", r, j, units, row.sums)
                a.store(m, "memory", old, j, rule(m, z, (a.load(m, "rows", old, j),)))

            _over_row(b, z.dtype.bitwidth, units, None, body)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def multiply(typingctx, x, start, count, first, second):
    """x ← x · first · second for `count` numbers from `start` of x (n,), in place; 0 where it would be subnormal."""
    sig = types.void(x, types.intp, types.intp, types.float64, types.float64)

    def codegen(context, builder, sig, args):
        a = _Arrays(context, builder, sig, args, "x start count first second")
        b, bits = builder, x.dtype.bitwidth
        least = float(np.finfo(f"f{bits // 8}").tiny)

        def body(m: Lanes, j: Any) -> None:
            at = b.add(a.value("start"), j)
            y = m.load(a.pointer("x"), at)
            for name in ("first", "second"):
                factor = a.value(name)
                y = y * Value(m, m.splat(factor if bits == 64 else b.fptrunc(factor, m.number)))
            m.store(a.pointer("x"), at, m.where(m.abs(y) < least, 0.0, y))

        _over_row(b, bits, a.value("count"), None, body)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def exponentials(typingctx, x, y, start, count):
    """y ← e^(x − m) for `count` numbers from `start` of x and y (n,), m the largest of them. Returns m and Σ y."""
    sig = types.UniTuple(x.dtype, 2)(x, y, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        a = _Arrays(context, builder, sig, args, "x y start count")
        b, bits, nothing = builder, x.dtype.bitwidth, float("-inf")
        plain = Lanes(b, bits)
        most, total = (cgutils.alloca_once_value(b, plain.constant(begin)) for begin in (nothing, 0.0))

        def compare(m: Lanes, j: Any) -> None:
            v, so_far = m.load(a.pointer("x"), b.add(a.value("start"), j), missing=nothing), Value(m, b.load(most))
            b.store(m.where(v > so_far, v, so_far).v, most)

        _over_row(b, bits, a.value("count"), None, compare)
        largest = plain.largest(b.load(most))

        def power(m: Lanes, j: Any) -> None:
            at = b.add(a.value("start"), j)
            e = m.exp(m.load(a.pointer("x"), at, missing=nothing) - Value(m, m.splat(largest)))
            m.store(a.pointer("y"), at, e)
            b.store((Value(m, b.load(total)) + e).v, total)

        _over_row(b, bits, a.value("count"), None, power)
        return context.make_tuple(b, sig.return_type, [largest, plain.total(b.load(total))])

    return sig, codegen


@intrinsic
def copy_rows(typingctx, x, x0, row_x, y, y0, row_y, rows, count):
    """y[y0 + r·row_y + j] ← x[x0 + r·row_x + j] for r < rows, j < count, of arrays (n,) of one type.

    Numba's own loop would look for negative indices, and so gather and scatter each number by itself.
    """
    if x.dtype != y.dtype:
        return None
    sig = types.void(x, types.intp, types.intp, y, *(types.intp,) * 4)

    def codegen(context, builder, sig, args):
        a = _Arrays(context, builder, sig, args, "x x0 row_x y y0 row_y rows count")
        b = builder
        with cgutils.for_range(b, a.value("rows")) as loop:
            at_x, at_y = (b.add(a.value(f"{n}0"), b.mul(a.value(f"row_{n}"), loop.index)) for n in "xy")

            def body(m: Lanes, j: Any) -> None:
                m.store(a.pointer("y"), b.add(at_y, j), m.load(a.pointer("x"), b.add(at_x, j)))

            _over_row(b, y.dtype.bitwidth, a.value("count"), None, body)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def step(typingctx, cell, activation, z, rows, memory, saved, units, t):
    """State t -> state t+1, and what the pullback needs into saved[t]."""
    row = BY_CLASS[cell.instance_class]
    sig = types.void(cell, types.intp, z, rows, memory, saved, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        a = _Arrays(context, builder, sig, args, "cell activation z rows memory saved units t")
        b, units = builder, a.value("units")
        batch = a.shape("z")[0]
        states = ("rows", "memory")[: row.states]
        with cgutils.for_range(b, batch) as loop:
            r = loop.index
            old = b.add(b.mul(a.value("t"), batch), r)
            new = b.add(old, batch)

            def body(m: Lanes, j: Any) -> None:
                z = a.blocks(m, "z", r, j, units, row.sums)
                state, keep = row.step(m, z, tuple(a.load(m, name, old, j) for name in states))
                for name, x in zip(states, state, strict=True):
                    a.store(m, name, new, j, x)
                a.store_saved(m, old, j, keep)

            _over_row(b, z.dtype.bitwidth, units, a.value("activation"), body)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def pullback(typingctx, cell, activation, saved, rows, memory, dh, dc, dz, t, slot):
    """dh, dc at state t+1 -> dz[slot]; and dh, dc at state t, as far as not through W_hh, in place.

    Returns (Σ over the batch of ‖dh‖₂, ‖dc‖₂ of the whole batch), float64, of the gradients that came in.
    """
    row = BY_CLASS[cell.instance_class]
    sig = types.UniTuple(types.float64, 2)(cell, types.intp, saved, rows, memory, dh, dc, dz, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        a = _Arrays(context, builder, sig, args, "cell activation saved rows memory dh dc dz t slot")
        b, bits = builder, dh.dtype.bitwidth
        batch, units = a.shape("dh")
        states, gradients = ("rows", "memory")[: row.states], ("dh", "dc")[: row.states]
        double = ir.DoubleType()
        wide = ir.VectorType(double, register_bits() // bits)
        root = b.module.declare_intrinsic("llvm.sqrt", [double])
        none = ir.Constant(wide, [0.0] * wide.count)
        total = cgutils.alloca_once_value(b, ir.Constant(double, 0.0))
        squares = [cgutils.alloca_once_value(b, none) for _ in range(2)]

        def norm(square: Any) -> Any:
            return b.call(root, [Lanes(b, bits).total(b.load(square))])

        with cgutils.for_range(b, batch) as loop:
            r = loop.index
            old = b.add(b.mul(a.value("t"), batch), r)
            new = b.add(old, batch)
            into = b.add(b.mul(a.value("slot"), batch), r)
            b.store(none, squares[0])

            def body(m: Lanes, j: Any) -> None:
                arriving = tuple(a.load(m, name, r, j) for name in gradients)
                for x, square in zip(arriving, squares, strict=False):  # squares in float64: no underflow
                    y = x.v if bits == 64 else b.fpext(x.v, wide)
                    b.store(b.fadd(b.fmul(y, y, flags=("contract",)), b.load(square), flags=("contract",)), square)
                values, carried = row.pullback(
                    m,
                    a.saved(m, old, j, len(row.saved)),
                    tuple(a.load(m, name, old, j) for name in states),
                    tuple(a.load(m, name, new, j) for name in states),
                    arriving,
                )
                a.store_blocks(m, "dz", into, j, units, values)
                for name, x in zip(gradients, carried, strict=True):
                    if x is not None:
                        a.store(m, name, r, j, x)

            _over_row(b, bits, units, a.value("activation"), body)
            b.store(b.fadd(b.load(total), norm(squares[0])), total)
        return context.make_tuple(b, sig.return_type, [b.load(total), norm(squares[1])])

    return sig, codegen


@intrinsic
def gated_pullback(typingctx, cell, saved, rows, dh, dz, t, slot):
    """The gradient of what `gated` gave -> the first block of dz[slot], in its place; and what it adds to dh."""
    row = BY_CLASS[cell.instance_class]
    sig = types.void(cell, saved, rows, dh, dz, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        if row.gated_pullback is None:
            return context.get_dummy_value()
        rule = row.gated_pullback
        a = _Arrays(context, builder, sig, args, "cell saved rows dh dz t slot")
        b = builder
        batch, units = a.shape("dh")
        with cgutils.for_range(b, batch) as loop:
            r = loop.index
            old, into = (b.add(b.mul(a.value(at), batch), r) for at in ("t", "slot"))

            def body(m: Lanes, j: Any) -> None:
                saved = a.saved(m, old, j, len(row.saved))
                first, through_a = rule(m, saved, (a.load(m, "rows", old, j),), a.load(m, "dz", into, j))
                a.store(m, "dz", into, j, first)
                a.store(m, "dh", r, j, a.load(m, "dh", r, j) + through_a)

            _over_row(b, dh.dtype.bitwidth, units, None, body)
        return context.get_dummy_value()

    return sig, codegen
