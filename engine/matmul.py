"""The matrix product, C (+)= A B, as register-blocked vector code: small, without BLAS and so without its threads.

Why not BLAS: its thread count is global to the process, which a library must not touch, and two threads make these
shapes five times slower. The tile is ROWS × 2 vectors of C held in registers; A is read by scalar broadcast, so that
any strides do (A or its transpose); B in panels of 2 vectors: packed, or row-major as it lies.
"""

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from engine._jit import inner
from engine._vec import FAST, I64, Lanes, Value, register_bits

ROWS = 8 if register_bits() == 512 else 4  # rows of a tile: 16 accumulators of 32 registers, or 8 of 16
FEW = 3  # and of one for what is left: the gradient of a narrow input's weights has two rows, or three, with the bias


@intrinsic
def lanes_of(typingctx, array):
    """Numbers of this array's type in one vector register, a constant."""

    def codegen(context, builder, sig, args):
        return I64(register_bits() // array.dtype.bitwidth)

    return types.intp(array), codegen


@intrinsic
def once(typingctx):
    """Said in a kernel: do not copy it into those that call it. They are compiled sooner, and run as fast."""

    def codegen(context, builder, sig, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def flatten(typingctx, x):
    """x.reshape(-1) of a C-contiguous array, which takes Numba much longer to compile."""

    def codegen(context, builder, sig, args):
        whole = context.make_array(sig.args[0])(context, builder, args[0])
        line = context.make_array(sig.return_type)(context, builder)
        populate_array(
            line, data=whole.data, shape=[whole.nitems], strides=[whole.itemsize], itemsize=whole.itemsize,
            meminfo=whole.meminfo, parent=whole.parent,
        )  # fmt: skip
        return impl_ret_borrowed(context, builder, sig.return_type, line._getvalue())

    return types.Array(x.dtype, 1, "C", readonly=not x.mutable)(x), codegen


@intrinsic
def number(typingctx, x):
    """x as a plain integer: Numba compiles a callee anew for every literal argument."""

    def codegen(context, builder, sig, args):
        return args[0]

    return types.intp(types.intp), codegen


@intrinsic(prefer_literal=True)
def _tile(typingctx, a, a0, row_a, step_a, b, b0, step_b, c, c0, row_c, depth, add, columns, rows, vectors):
    """One tile of C. `rows`, `vectors` are literal; vectors = 0: one vector of which only `columns` columns exist."""
    n_rows, n_vectors = rows.literal_value, max(1, vectors.literal_value)
    masked = vectors.literal_value == 0
    whole = types.intp
    sig = types.void(a, whole, whole, whole, b, whole, whole, c, whole, whole, whole, whole, whole, rows, vectors)

    def codegen(context, builder, sig, args):
        e = builder
        pointer = {
            n: context.make_array(sig.args[i])(context, e, args[i]).data for i, n in ((0, "a"), (4, "b"), (7, "c"))
        }
        _, a0, row_a, step_a, _, b0, step_b, _, c0, row_c, depth, add, columns, _, _ = args
        m = Lanes(e, c.dtype.bitwidth, columns=columns if masked else None)
        at_a = [e.add(a0, e.mul(row_a, I64(i))) for i in range(n_rows)]
        at_c = [
            [e.add(e.add(c0, e.mul(row_c, I64(i))), I64(v * m.lanes)) for v in range(n_vectors)] for i in range(n_rows)
        ]

        # A single row has too few sums to keep the arithmetic units busy: four of each, every fourth k.
        ways = 4 if n_rows == 1 else 1
        sums = [
            [[cgutils.alloca_once(e, m.vector) for _ in range(n_vectors)] for _ in range(n_rows)] for _ in range(ways)
        ]
        tile = [(i, v) for i in range(n_rows) for v in range(n_vectors)]
        for way in sums:
            for i, v in tile:
                e.store(m.constant(0.0), way[i][v])

        def along(k: Any, way: list[list[Any]]) -> None:
            start, step = e.add(b0, e.mul(k, step_b)), e.mul(k, step_a)
            row_of_b = [m.load(pointer["b"], e.add(start, I64(v * m.lanes))).v for v in range(n_vectors)]
            for i in range(n_rows):
                x = m.splat(e.load(e.gep(pointer["a"], [e.add(at_a[i], step)])))
                for v in range(n_vectors):
                    product = e.fmul(x, row_of_b[v], flags=FAST)
                    e.store(e.fadd(product, e.load(way[i][v]), flags=FAST), way[i][v])

        whole_depth = e.sub(depth, e.urem(depth, I64(ways)))
        with cgutils.for_range_slice(e, I64(0), whole_depth, I64(ways), inc=True) as (k, _):
            for offset, way in enumerate(sums):
                along(e.add(k, I64(offset)), way)
        if ways > 1:
            with cgutils.for_range_slice(e, whole_depth, depth, I64(1), inc=True) as (k, _):
                along(k, sums[0])
        for way in sums[1:]:
            for i, v in tile:
                e.store(e.fadd(e.load(sums[0][i][v]), e.load(way[i][v]), flags=FAST), sums[0][i][v])
        with e.if_then(e.icmp_signed("!=", add, I64(0))):
            for i, v in tile:
                onto = m.load(pointer["c"], at_c[i][v]).v
                e.store(e.fadd(e.load(sums[0][i][v]), onto, flags=FAST), sums[0][i][v])
        for i, v in tile:
            m.store(pointer["c"], at_c[i][v], Value(m, e.load(sums[0][i][v])))
        return context.get_dummy_value()

    return sig, codegen


@inner
def product(a, a0, row_a, step_a, b, b0, row_b, c, c0, row_c, m, n, depth, add):
    """C[i, j] (+)= Σₖ A[i, k] B[k, j] for i < m, j < n, k < depth, on flat memory.

    A[i, k] lies at a0 + i·row_a + k·step_a of `a`; B[k, j] at b0 + k·row_b + j of `b`, or, if row_b = 0, in panels as
    `pack` lays them; C[i, j] at c0 + i·row_c + j of `c`. add = 1 adds to C, 0 writes it.
    """
    once()
    lanes = lanes_of(c)
    panel = 2 * lanes
    for j in range(0, n, panel):
        width = min(panel, n - j)
        at_b, stride = (b0 + j * depth, width) if row_b == 0 else (b0 + j, row_b)
        at_a, at_c = a0, c0 + j
        if width == panel:
            i = 0
            while i + ROWS <= m:
                _tile(a, at_a, row_a, step_a, b, at_b, stride, c, at_c, row_c, depth, add, 0, ROWS, 2)
                at_a, at_c, i = at_a + ROWS * row_a, at_c + ROWS * row_c, i + ROWS
            while i + FEW <= m:
                _tile(a, at_a, row_a, step_a, b, at_b, stride, c, at_c, row_c, depth, add, 0, FEW, 2)
                at_a, at_c, i = at_a + FEW * row_a, at_c + FEW * row_c, i + FEW
            while i < m:
                _tile(a, at_a, row_a, step_a, b, at_b, stride, c, at_c, row_c, depth, add, 0, 1, 2)
                at_a, at_c, i = at_a + row_a, at_c + row_c, i + 1
        else:
            for v in range(0, width, lanes):
                some = min(lanes, width - v)
                at_a, at_c, i = a0, c0 + j + v, 0
                while i + ROWS <= m:
                    _tile(a, at_a, row_a, step_a, b, at_b + v, stride, c, at_c, row_c, depth, add, some, ROWS, 0)
                    at_a, at_c, i = at_a + ROWS * row_a, at_c + ROWS * row_c, i + ROWS
                while i < m:
                    _tile(a, at_a, row_a, step_a, b, at_b + v, stride, c, at_c, row_c, depth, add, some, 1, 0)
                    at_a, at_c, i = at_a + row_a, at_c + row_c, i + 1


@inner
def pack(w, start, step_k, step_j, depth, n, packed, at):
    """B[k, j], which lies at start + k·step_k + j·step_j of w, into panels at `at` of packed: each (depth, width)."""
    once()
    panel = 2 * lanes_of(w)
    for j in range(0, n, panel):
        width = min(panel, n - j)
        for k in range(depth):
            for v in range(width):
                packed[at + v] = w[start + k * step_k + (j + v) * step_j]
            at += width
