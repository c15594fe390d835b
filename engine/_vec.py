"""A small vector language: a cell's mathematics, written once in Python, becomes LLVM vector instructions.

The loop vectoriser is not asked: with seven arrays in one loop it gives up on its alias checks, silently, and it has no
vector exp. Here a cell is a function of values with + − · ÷ and `m.tanh`, `m.sigmoid`, …; called with `Lanes` it emits
instructions for a whole vector register, called with a NumPy namespace (tests/plain.py) the same lines compute plainly.

exp: x = k ln 2 + r, |r| ≤ ½ ln 2; e^r by its Taylor polynomial; 2^k by adding k to the exponent bits. tanh goes through
expm1, so that small arguments keep their relative precision. NaN passes through, ±inf give the limits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from math import factorial
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

I32, I64 = ir.IntType(32), ir.IntType(64)
FAST = ("contract", "nsz")  # contract: a·b + c becomes one fused instruction where the CPU has it
# e^r = 1 + r + r² q(r): as many Taylor terms as |r| ≤ 0.3466 needs for the last bit
TAYLOR = {64: [1 / factorial(n) for n in range(2, 14)], 32: [1 / factorial(n) for n in range(2, 8)]}
LN2 = {64: (0.693147180369123816490, 1.90821492927058770002e-10), 32: (0.693359375, -2.12194440e-4)}  # high, low part
MAGIC = {64: 1.5 * 2.0**52, 32: 1.5 * 2.0**23}  # adding it rounds to an integer, in the low bits
MANTISSA = {64: 52, 32: 23}
EXP_RANGE = {64: (-708.39, 709.78), 32: (-87.33, 88.72)}  # below: 0 (not a subnormal number); above: infinity
TANH_TOP = {64: 20.0, 32: 9.5}  # beyond it tanh is ±1 to the last bit


@cache
def register_bits() -> int:
    """The width of the vector registers that code is made for: 512, 256 or 128 bits.

    What the CPU has, or, of NUMBA_CPU_FEATURES (Numba's own setting: code for another machine), what that names.
    ENGINE_VECTOR_BITS forces a width: any runs on any machine, a wider one than it has in several instructions.
    """
    if forced := os.environ.get("ENGINE_VECTOR_BITS"):
        if forced not in ("128", "256", "512"):
            raise ValueError(f"ENGINE_VECTOR_BITS: {forced!r}; allowed: 128, 256, 512")
        return int(forced)
    named = os.environ.get("NUMBA_CPU_FEATURES")
    has = llvm.get_host_cpu_features() if named is None else {f[1:]: f[0] == "+" for f in named.split(",") if f}
    if has.get("avx512f"):
        return 512
    return 256 if has.get("avx2") and has.get("fma") else 128


class Value:
    """One vector of numbers while code is emitted: arithmetic on it emits instructions."""

    def __init__(self, m: Lanes, v: Any) -> None:
        self.m, self.v = m, v

    def _other(self, x: Any) -> Any:
        return x.v if isinstance(x, Value) else self.m.constant(x)

    def __add__(self, x: Any) -> Value:
        return Value(self.m, self.m.b.fadd(self.v, self._other(x), flags=FAST))

    def __sub__(self, x: Any) -> Value:
        return Value(self.m, self.m.b.fsub(self.v, self._other(x), flags=FAST))

    def __rsub__(self, x: Any) -> Value:
        return Value(self.m, self.m.b.fsub(self._other(x), self.v, flags=FAST))

    def __mul__(self, x: Any) -> Value:
        return Value(self.m, self.m.b.fmul(self.v, self._other(x), flags=FAST))

    def __truediv__(self, x: Any) -> Value:
        return Value(self.m, self.m.b.fdiv(self.v, self._other(x), flags=FAST))

    def __rtruediv__(self, x: Any) -> Value:
        return Value(self.m, self.m.b.fdiv(self._other(x), self.v, flags=FAST))

    def __neg__(self) -> Value:
        return Value(self.m, self.m.b.fneg(self.v, flags=FAST))

    def __gt__(self, x: Any) -> Any:
        return self.m.b.fcmp_ordered(">", self.v, self._other(x))

    def __lt__(self, x: Any) -> Any:
        return self.m.b.fcmp_ordered("<", self.v, self._other(x))

    __radd__, __rmul__ = __add__, __mul__


class Lanes:
    """Emits instructions on whole vector registers of one floating type (`bits` wide) into `builder`.

    columns: only so many of a register's numbers exist in memory, the others read as 0 and are not written; None: all.
    """

    def __init__(self, builder: ir.IRBuilder, bits: int, activation: Any = None, columns: Any = None) -> None:
        self.b, self.bits, self.activation = builder, bits, activation
        self.lanes = lanes = register_bits() // bits
        self.number: Any = ir.DoubleType() if bits == 64 else ir.FloatType()
        self.vector = ir.VectorType(self.number, lanes)
        self.integers = ir.VectorType(ir.IntType(bits), lanes)
        self._exists = None
        if columns is not None:
            places = ir.VectorType(I64, lanes)
            self._exists = builder.icmp_signed(
                "<", ir.Constant(places, list(range(lanes))), self._spread(places, columns)
            )

    def constant(self, x: float) -> ir.Constant:
        return ir.Constant(self.vector, [float(x)] * self.lanes)

    def splat(self, scalar: Any) -> Any:
        return self._spread(self.vector, scalar)

    def _spread(self, kind: Any, scalar: Any) -> Any:
        one = self.b.insert_element(ir.Constant(kind, ir.Undefined), scalar, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    def _address(self, pointer: Any, offset: Any) -> Any:
        return self.b.bitcast(self.b.gep(pointer, [offset]), self.vector.as_pointer())

    def load(self, pointer: Any, offset: Any) -> Value:
        address, align = self._address(pointer, offset), self.bits // 8
        if self._exists is None:
            return Value(self, self.b.load(address, align=align))
        masked = self._masked("load", self.vector, [address.type, I32, self._exists.type, self.vector])
        return Value(self, self.b.call(masked, [address, I32(align), self._exists, self.constant(0.0)]))

    def store(self, pointer: Any, offset: Any, x: Value) -> None:
        address, align = self._address(pointer, offset), self.bits // 8
        if self._exists is None:
            self.b.store(x.v, address, align=align)
        else:
            masked = self._masked("store", ir.VoidType(), [self.vector, address.type, I32, self._exists.type])
            self.b.call(masked, [x.v, address, I32(align), self._exists])

    def _masked(self, name: str, result: Any, arguments: list[Any]) -> Any:
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.b.module, kind, f"llvm.masked.{name}.v{self.lanes}f{self.bits}.p0")

    def total(self, x: Any) -> Any:
        """The sum of a vector's numbers, pairwise."""
        n = self.lanes
        while n > 1:
            n //= 2
            halves = [
                self.b.shuffle_vector(
                    x, ir.Constant(x.type, ir.Undefined), ir.Constant(ir.VectorType(I32, n), list(part))
                )
                for part in (range(n), range(n, 2 * n))
            ]
            x = self.b.fadd(*halves)
        return self.b.extract_element(x, I32(0))

    def where(self, condition: Any, a: Any, b: Any) -> Value:
        va, vb = (q.v if isinstance(q, Value) else self.constant(q) for q in (a, b))
        return Value(self, self.b.select(condition, va, vb))

    def abs(self, x: Value) -> Value:
        return Value(self, self.b.call(self._intrinsic("llvm.fabs", 1), [x.v]))

    def with_sign(self, y: Value, x: Value) -> Value:
        return Value(self, self.b.call(self._intrinsic("llvm.copysign", 2), [y.v, x.v]))

    def _intrinsic(self, name: str, arguments: int) -> Any:
        kind = ir.FunctionType(self.vector, [self.vector] * arguments)
        return cgutils.get_or_insert_function(self.b.module, kind, f"{name}.v{self.lanes}f{self.bits}")

    def _between(self, x: Value, low: float, high: float) -> Value:
        x = self.where(x > high, high, x)  # both comparisons are false for NaN, which therefore stays
        return self.where(x < low, low, x)

    def _reduce(self, x: Value) -> tuple[Value, Value, Value]:
        """x -> (t, r, low): k in the low bits of t, r + low = x − k ln 2, low what rounding took from r."""
        t = x * 1.4426950408889634 + MAGIC[self.bits]
        k = t - MAGIC[self.bits]
        high, low = LN2[self.bits]
        rest, small = x - k * high, k * low
        r = rest - small
        return t, r, (rest - r) - small

    def _polynomial(self, r: Value) -> Value:
        """q(r) with e^r = 1 + r + r² q(r), by Horner's rule."""
        *rest, last = TAYLOR[self.bits]
        q = r * last + rest[-1]
        for c in rest[-2::-1]:
            q = q * r + c
        return q

    def _times_power(self, p: Any, t: Value) -> Value:
        """p · 2^k, with k in the low bits of t."""
        value = p.v if isinstance(p, Value) else self.constant(p)
        shift = ir.Constant(self.integers, [MANTISSA[self.bits]] * self.lanes)
        power = self.b.shl(self.b.bitcast(t.v, self.integers), shift)
        return Value(self, self.b.bitcast(self.b.add(self.b.bitcast(value, self.integers), power), self.vector))

    def exp(self, x: Value) -> Value:
        low, high = EXP_RANGE[self.bits]
        t, r, _ = self._reduce(self._between(x, low, high))
        y = self._times_power(r * (r * self._polynomial(r) + 1.0) + 1.0, t)
        return self.where(x > high, float("inf"), self.where(x < low, 0.0, y))

    def expm1(self, x: Value) -> Value:
        """e^x − 1 for x ≤ 40, exact near 0 too."""
        t, r, low = self._reduce(self._between(x, -40.0, 40.0))
        return self._expm1(t, r, low)

    def _expm1(self, t: Value, r: Value, low: Value) -> Value:
        p = (r * r * self._polynomial(r) + low) + r
        s = self._times_power(1.0, t)
        return s * p + (s - 1.0)

    def tanh(self, x: Value) -> Value:
        """e/(e + 2) with e = e^{2|x|} − 1, and the sign of x."""
        size, top = self.abs(x), TANH_TOP[self.bits]
        e = self._expm1(*self._reduce(self.where(size > top, top, size) * 2.0))
        d = e + 2.0
        y = e / d
        lost = self.where(e < 2.0, e - (d - 2.0), 0.0)  # what rounding took from d, exact where e < 2
        return self.with_sign(y - y * (0.5 - 0.5 * y) * lost, x)  # 1/d = (1 − y)/2

    def sigmoid(self, x: Value) -> Value:
        """1/(1 + z), or z/(1 + z) for x < 0, with z = e^{−|x|}: the relative precision is kept on both sides."""
        z = self.exp(-self.abs(x))
        d = z + 1.0
        y = self.where(x < 0.0, z, 1.0) / d
        lost = z - (d - 1.0)  # what rounding took from d, exact; and 1/d is y, or 1 − y for x < 0
        return y - y * self.where(x < 0.0, 1.0 - y, y) * lost

    def phi(self, x: Value) -> Value:
        """The experiment's activation, chosen at run time by its number."""
        return self._switch("phi", lambda m, row, v: row.value(m, v), x)

    def slope(self, y: Value) -> Value:
        """φ′ where φ took the value y."""
        return self._switch("slope", lambda m, row, v: row.slope(m, v), y)

    def _switch(self, name: str, rule: Callable, x: Value) -> Value:
        """A function of its own in the module: eight activations cost eight short bodies and not eight loops."""
        from engine.activations import ACTIVATIONS

        module = self.b.module
        symbol = f"engine.{name}.{self.lanes}x{self.bits}"
        function = module.globals.get(symbol)
        if function is None:
            function = ir.Function(module, ir.FunctionType(self.vector, [I64, self.vector]), symbol)
            function.linkage = "internal"
            builder = ir.IRBuilder(function.append_basic_block("entry"))
            inner = Lanes(builder, self.bits)
            nowhere = function.append_basic_block("nowhere")
            chosen = builder.switch(function.args[0], nowhere)
            for number, row in enumerate(ACTIVATIONS.values()):
                block = function.append_basic_block(row.label)
                chosen.add_case(I64(number), block)
                builder.position_at_end(block)
                builder.ret(rule(inner, row, Value(inner, function.args[1])).v)
            builder.position_at_end(nowhere)
            builder.unreachable()
        return Value(self, self.b.call(function, [self.activation, x.v]))
