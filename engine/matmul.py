"""The matrix product, C (+)= A B, as register-blocked vector code: small, without BLAS and so without its threads.

Why not BLAS: its thread count is global to the process, which a library must not touch, and two threads make these
shapes five times slower. The tile is ROWS × 2 vectors of C held in registers; A is read by scalar broadcast, so that
any strides do (A or its transpose); B in panels of 2 vectors: packed, or row-major as it lies.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine._jit import jit
from engine._vec import FAST, I32, I64, Lanes, register_bits

ROWS = 8 if register_bits() == 512 else 4  # rows of a tile: 16 accumulators of 32 registers, or 8 of 16


@intrinsic
def lanes_of(typingctx, array):
    """Numbers of this array's type in one vector register, a constant."""

    def codegen(context, builder, sig, args):
        return I64(register_bits() // array.dtype.bitwidth)

    return types.intp(array), codegen


@intrinsic
def number(typingctx, x):
    """x as a plain integer: Numba compiles a callee anew for every literal argument."""

    def codegen(context, builder, sig, args):
        return args[0]

    return types.intp(types.intp), codegen


@intrinsic(prefer_literal=True)
def _tile(typingctx, a, a0, row_a, step_a, b, b0, step_b, c, c0, row_c, depth, add, columns, rows, vectors):
    """One tile of C. `rows`, `vectors` are literal; vectors = 0: one vector of which only `columns` columns exist."""
    n_rows, n_vectors = rows.literal_value, vectors.literal_value
    masked, n_vectors = n_vectors == 0, max(1, n_vectors)
    whole = types.intp
    sig = types.void(a, whole, whole, whole, b, whole, whole, c, whole, whole, whole, whole, whole, rows, vectors)

    def codegen(context, builder, sig, args):
        e = builder
        bits = c.dtype.bitwidth
        lanes = register_bits() // bits
        m = Lanes(e, bits, lanes)
        pointer = {
            n: context.make_array(sig.args[i])(context, e, args[i]).data for i, n in ((0, "a"), (4, "b"), (7, "c"))
        }
        _, a0, row_a, step_a, _, b0, step_b, _, c0, row_c, depth, add, columns, _, _ = args
        at_a = [e.add(a0, e.mul(row_a, I64(i))) for i in range(n_rows)]
        at_c = [
            [e.add(e.add(c0, e.mul(row_c, I64(i))), I64(v * lanes)) for v in range(n_vectors)] for i in range(n_rows)
        ]
        if masked:
            exists = e.icmp_signed(
                "<", ir.Constant(ir.VectorType(I64, lanes), list(range(lanes))), _splat_int(e, columns, lanes)
            )
            mask_type = ir.VectorType(ir.IntType(1), lanes)
            align = I32(bits // 8)
            p = m.vector.as_pointer()
            name = f"v{lanes}f{bits}"
            load_masked = cgutils.get_or_insert_function(
                e.module, ir.FunctionType(m.vector, [p, I32, mask_type, m.vector]), f"llvm.masked.load.{name}.p0"
            )
            store_masked = cgutils.get_or_insert_function(
                e.module, ir.FunctionType(ir.VoidType(), [m.vector, p, I32, mask_type]), f"llvm.masked.store.{name}.p0"
            )

        def load(array: str, offset: Any) -> Any:
            if not masked:
                return m.load(pointer[array], offset).v
            return e.call(load_masked, [m._address(pointer[array], offset), align, exists, m.constant(0.0)])

        # A single row has too few sums to keep the arithmetic units busy: four of each, every fourth k.
        ways = 4 if n_rows == 1 else 1
        sums = [
            [[cgutils.alloca_once(e, m.vector) for _ in range(n_vectors)] for _ in range(n_rows)] for _ in range(ways)
        ]
        tile = [(i, v) for i in range(n_rows) for v in range(n_vectors)]
        with e.if_else(e.icmp_signed("!=", add, I64(0))) as (onto_c, fresh):
            with onto_c:
                for i, v in tile:
                    e.store(load("c", at_c[i][v]), sums[0][i][v])
            with fresh:
                for i, v in tile:
                    e.store(m.constant(0.0), sums[0][i][v])
        for way in sums[1:]:
            for i, v in tile:
                e.store(m.constant(0.0), way[i][v])

        def along(k: Any, way: list[list[Any]]) -> None:
            start, step = e.add(b0, e.mul(k, step_b)), e.mul(k, step_a)
            row_of_b = [load("b", e.add(start, I64(v * lanes))) for v in range(n_vectors)]
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
        for i, v in tile:
            x, offset = e.load(sums[0][i][v]), at_c[i][v]
            for way in sums[1:]:
                x = e.fadd(x, e.load(way[i][v]), flags=FAST)
            if masked:
                e.call(store_masked, [x, m._address(pointer["c"], offset), align, exists])
            else:
                e.store(x, m._address(pointer["c"], offset), align=bits // 8)
        return context.get_dummy_value()

    return sig, codegen


def _splat_int(e: ir.IRBuilder, x: Any, lanes: int) -> Any:
    kind = ir.VectorType(I64, lanes)
    one = e.insert_element(ir.Constant(kind, ir.Undefined), x, I32(0))
    zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
    return e.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


@jit
def product(a, a0, row_a, step_a, b, b0, row_b, c, c0, row_c, m, n, depth, add):
    """C[i, j] (+)= Σₖ A[i, k] B[k, j] for i < m, j < n, k < depth, on flat memory.

    A[i, k] lies at a0 + i·row_a + k·step_a of `a`; B[k, j] at b0 + k·row_b + j of `b`, or, if row_b = 0, in panels as
    `pack` and `pack_transposed` lay them; C[i, j] at c0 + i·row_c + j of `c`. add = 1 adds to C, 0 writes it.
    """
    lanes = lanes_of(c)
    panel = 2 * lanes
    for j in range(0, n, panel):
        width = min(panel, n - j)
        at_b, stride = (b0 + j * depth, width) if row_b == 0 else (b0 + j, row_b)
        if width == panel:
            i = 0
            while i + ROWS <= m:
                _tile(
                    a,
                    a0 + i * row_a,
                    row_a,
                    step_a,
                    b,
                    at_b,
                    stride,
                    c,
                    c0 + i * row_c + j,
                    row_c,
                    depth,
                    add,
                    0,
                    ROWS,
                    2,
                )
                i += ROWS
            while i < m:
                _tile(
                    a, a0 + i * row_a, row_a, step_a, b, at_b, stride, c, c0 + i * row_c + j, row_c, depth, add, 0, 1, 2
                )
                i += 1
        else:
            for v in range(0, width, lanes):
                columns = min(lanes, width - v)
                i = 0
                while i + ROWS <= m:
                    _tile(
                        a, a0 + i * row_a, row_a, step_a, b, at_b + v, stride,
                        c, c0 + i * row_c + j + v, row_c, depth, add, columns, ROWS, 0,
                    )  # fmt: skip
                    i += ROWS
                while i < m:
                    _tile(
                        a, a0 + i * row_a, row_a, step_a, b, at_b + v, stride,
                        c, c0 + i * row_c + j + v, row_c, depth, add, columns, 1, 0,
                    )  # fmt: skip
                    i += 1


@jit
def pack(w, packed):
    """w (K, N) -> panels of 2 vectors' columns, each (K, width)."""
    depth, n = w.shape
    panel = 2 * lanes_of(w)
    o = 0
    for j in range(0, n, panel):
        width = min(panel, n - j)
        for k in range(depth):
            for v in range(width):
                packed[o] = w[k, j + v]
                o += 1


@jit
def pack_transposed(w, packed):
    """w (N, K) -> panels of wᵀ (K, N)."""
    n, depth = w.shape
    panel = 2 * lanes_of(w)
    for j in range(0, n, panel):
        width = min(panel, n - j)
        for v in range(width):
            for k in range(depth):
                packed[j * depth + k * width + v] = w[j + v, k]
