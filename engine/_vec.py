"""A small vector language: a cell's mathematics, written once in Python, becomes LLVM vector instructions.

The loop vectoriser is not asked: with seven arrays in one loop it gives up on its alias checks, silently, and it has no
vector exp. Here a cell is a function of values with + − · ÷ and `m.tanh`, `m.sigmoid`, …; called with `Lanes` it emits
instructions for a whole vector register, called with a NumPy namespace the same lines compute plainly.

exp: x = k ln 2 + r; e^r by a polynomial; 2^k by adding k to the exponent bits. tanh goes through e^x − 1, so that small
arguments keep their relative precision. NaN passes through, ±inf give the limits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

I32, I64 = ir.IntType(32), ir.IntType(64)
FAST = ("contract", "nsz")  # contract: a·b + c becomes one fused instruction where the CPU has it
# e^r = 1 + r + r² q(r): q by interpolation in Chebyshev nodes, for |r| ≤ ½ ln 2 and for 0 ≤ r ≤ ln 2
NEAR = {
    64: [
        0.5000000000000001, 0.16666666666666669, 0.041666666666624136, 0.008333333333330063, 0.001388888891720967,
        0.00019841269863050506, 2.4801521302241082e-05, 2.7557268464831627e-06, 2.7620085455018414e-07,
        2.510038319586702e-08,
    ],
    32: [0.5, 0.16666576998242924, 0.041666554627878084, 0.008363177629994445, 0.0013926181810489343],
}  # fmt: skip
ABOVE = {
    64: [
        0.4999999999999999, 0.16666666666670515, 0.04166666666483695, 0.00833333336703741, 0.0013888885740774366,
        0.00019841438393996587, 2.4796110084690422e-05, 2.7666911462141346e-06, 2.624554529624684e-07,
        3.352677672736514e-08,
    ],
    32: [
        0.4999999983021133, 0.1666668428487512, 0.041663717289691475, 0.008351285633674153, 0.0013400000091035142,
        0.00025828437841674077,
    ],
}  # fmt: skip
LOG2_E = 1.4426950408889634
LN2 = {64: (0.693147180369123816490, 1.90821492927058770002e-10), 32: (0.693359375, -2.12194440e-4)}  # high, low part
MANTISSA = {64: 52, 32: 23}
MAGIC = {64: 1.5 * 2.0**52 + 1023, 32: 1.5 * 2.0**23 + 127}  # k + this has in its low bits the exponent of 2^k
EXP_LEAST = {64: -708.39, 32: -87.33}  # below it exp, and so sigmoid, is 0, and not a subnormal number
INFINITE = {64: 710.0, 32: 89.0}  # rounds to k = 1024, 128: 2^k as computed is infinity
SIGMOID_MOST = 40.0  # above it is 1
TANH_TOP = {64: 18.71, 32: 8.66}  # beyond it tanh is ±1 but for one unit of the last bit


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

    columns: only so many of a register's numbers exist in memory, the others read as 0, or as
    `missing`, and are not written; None: all.
    `whole`: in this place of memory all do.
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

    def load(self, pointer: Any, offset: Any, whole: bool = False, missing: float = 0.0) -> Value:
        address, align = self._address(pointer, offset), self.bits // 8
        if whole or self._exists is None:
            return Value(self, self.b.load(address, align=align))
        masked = self._masked("load", self.vector, [address.type, I32, self._exists.type, self.vector])
        return Value(self, self.b.call(masked, [address, I32(align), self._exists, self.constant(missing)]))

    def store(self, pointer: Any, offset: Any, x: Value, whole: bool = False) -> None:
        address, align = self._address(pointer, offset), self.bits // 8
        if whole or self._exists is None:
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

    def largest(self, x: Any) -> Any:
        """The largest of a vector's numbers, NaN aside."""
        kind = ir.FunctionType(self.number, [self.vector])
        name = f"llvm.vector.reduce.fmax.v{self.lanes}f{self.bits}"
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), [x])

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

    def _nearest(self, x: Value) -> tuple[Value, Value, Value]:
        """e^x = s e^r with s = 2^k, |r| ≤ ½ ln 2; and what rounding took from r."""
        t = x * LOG2_E + MAGIC[self.bits]
        k = t - MAGIC[self.bits]
        high, low = LN2[self.bits]
        rest, small = x - k * high, k * low
        r = rest - small
        return self._power(t), r, (rest - r) - small

    def _polynomial(self, r: Value, coefficients: list[float]) -> Value:
        """r² q(r), by Horner's rule."""
        *rest, last = coefficients
        q = r * last + rest[-1]
        for c in rest[-2::-1]:
            q = q * r + c
        return r * r * q

    def _power(self, t: Value) -> Value:
        """2^k of t = k + MAGIC."""
        shift = ir.Constant(self.integers, [MANTISSA[self.bits]] * self.lanes)
        return Value(self, self.b.bitcast(self.b.shl(self.b.bitcast(t.v, self.integers), shift), self.vector))

    def exp(self, x: Value) -> Value:
        """e^x for x ≤ 40; 0 where it would be subnormal."""
        least = EXP_LEAST[self.bits]
        s, r, low = self._nearest(self.where(x < least, least, x))
        return self.where(x < least, 0.0, s * ((self._polynomial(r, NEAR[self.bits]) + low) + r) + s)

    def expm1(self, x: Value) -> Value:
        """e^x − 1 for x ≤ 40, exact near 0 too."""
        x = self.where(x > 40.0, 40.0, x)  # both comparisons are false for NaN, which therefore stays
        s, r, low = self._nearest(self.where(x < -40.0, -40.0, x))
        return s * ((self._polynomial(r, NEAR[self.bits]) + low) + r) + (s - 1.0)

    def tanh(self, x: Value) -> Value:
        """e/(e + 1) with e = (e^{2|x|} − 1)/2, and the sign of x.

        2|x| = k ln 2 + 2r with 0 ≤ r ≤ ½ ln 2 up to rounding, so that e has no cancellation.
        """
        size = self.abs(x)
        t = size * (2 * LOG2_E) - 0.4999 + MAGIC[self.bits]
        k = t - MAGIC[self.bits]
        high, low = LN2[self.bits]
        r = (size - k * (high / 2)) - k * (low / 2)
        s = self._power(t)
        of_2r = [c * 2.0 ** (n + 1) for n, c in enumerate(ABOVE[self.bits])]  # (e^{2r} − 1)/2 = r + r² q(r)
        e = s * (self._polynomial(r, of_2r) + r) + (s * 0.5 - 0.5)
        d = e + 1.0
        y = e / d
        y = y - (y - y * y) * (e - (d - 1.0))  # what rounding took from d, exact; and y/d = y − y²
        return self.with_sign(self.where(size > TANH_TOP[self.bits], 1.0, y), x)

    def sigmoid(self, x: Value) -> Value:
        """1/(1 + s e^r), the larger of 1 and s added last, so that one rounding counts."""
        bits = self.bits
        x = self.where(x > SIGMOID_MOST, SIGMOID_MOST, x)
        x = self.where(x < EXP_LEAST[bits], -INFINITE[bits], x)
        t = x * -LOG2_E + MAGIC[bits]
        k = t - MAGIC[bits]
        high, low = LN2[bits]
        r = (-x - k * high) - k * low
        s = self._power(t)
        smaller, larger = self.where(s < 1.0, s, 1.0), self.where(s > 1.0, s, 1.0)
        return 1.0 / ((s * (self._polynomial(r, NEAR[bits]) + r) + smaller) + larger)

    def phi(self, x: Value) -> Value:
        """The experiment's activation, chosen at run time by its number; tanh where none is given."""
        if self.activation is None:
            return self.tanh(x)
        return self._switch("phi", lambda m, row, v: row.value(m, v), x)

    def slope(self, y: Value) -> Value:
        """φ′ where φ took the value y."""
        if self.activation is None:
            return 1.0 - y * y
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
