"""The only two time loops of the engine, for every cell: forward through time, and back.

The rows of a layer are [h_t | x_t | 1]: one product with W = [W_hh | W_ih | b_ih + b_hh] is the whole of z_t, and a
state is written where the next product reads it.

Gradients are kept exact far past the range of the floating type: the backward signal is scaled by powers of two
whenever it leaves a safe band, and the exponent is carried beside it: true gradient = stored · 2^exponent. That also
keeps subnormal numbers, which are 10 to 50 times slower, out of the loop.
"""

import numpy as np

from engine._jit import inner, jit
from engine.matmul import flatten, number, once, pack, product
from engine.pointwise import carries_h, copy_rows, gated, gated_pullback, is_apart, is_gated, multiply, pullback, step

NOTHING = -(1 << 40)  # the exponent of a gradient that is exactly zero


@jit
def join(weight_ih, weight_hh, bias_ih, bias_hh, apart, gated, w, ahead, back, back_x):
    """The weights of a layer -> w (s·H, H+I+1), z = w [h x 1], and w packed for the products.

    Where the last gate's input stands apart, its rows of w are [W_hn | 0 | b_hn], and s = k + 1 blocks are there: the
    last rows are [ | W_in | b_in]. In a gated cell the last rows' W_hn multiplies a. ahead: for z; back: for
    dh = dz W_hh; back_x, where it has room: for dx = dz W_ih.
    """
    once()
    width, units = weight_hh.shape
    size, length, last = weight_ih.shape[1], w.shape[1], width - units
    flat, flat_ih, o, one = flatten(w), flatten(weight_ih), number(0), number(1)
    both = width - apart * units
    copy_rows(flatten(weight_hh), o, units, flat, o, length, width, units)
    copy_rows(flat_ih, o, size, flat, units, length, both, size)
    copy_rows(flat_ih, both * size, size, flat, width * length + units, length, width - both, size)
    for r in range(width):
        alone = apart == 1 and r >= last
        w[r, units + size] = bias_hh[r] if alone else bias_ih[r] + bias_hh[r]
        if alone:
            w[r + units, units + size] = bias_ih[r]
    joined = width - gated * units
    of_h, of_x = joined * length, joined * units
    pack(flat, o, one, length, length, joined, ahead, o)
    pack(flat, o, length, one, joined, units, back, o)
    if apart + gated:
        pack(flat, of_h + units, one, length, size + 1, units, ahead, of_h)
    if gated:
        pack(flat, of_h, one, length, units, units, ahead, of_h + (size + 1) * units)
        pack(flat, of_h, length, one, units, units, back, of_x)
    if back_x.size:
        pack(flat, units, length, one, both, size, back_x, o)
        if apart:
            pack(flat, width * length + units, length, one, units, size, back_x, both * size)


@jit
def split(dw_h, dw_x, add, apart, weight_ih, weight_hh, bias_ih, bias_hh):
    """What `join` did, for its gradient: dw_h (k·H, ≥ H), dw_x (I+1, ≥ s·H) -> the four tensors, added or written."""
    once()
    width, units = weight_hh.shape
    size, last = weight_ih.shape[1], width - units
    if not add:
        clear(flatten(weight_hh))
        clear(flatten(weight_ih))
        clear(bias_hh)
        clear(bias_ih)
    for r in range(width):
        of_x = r + units if apart == 1 and r >= last else r
        for j in range(units):
            weight_hh[r, j] += dw_h[r, j]
        for j in range(size):
            weight_ih[r, j] += dw_x[j, of_x]
        bias_hh[r] += dw_x[size, r]
        bias_ih[r] += dw_x[size, of_x]


@inner
def forward(cell, activation, ahead, below, below_start, below_row, rows, memory, saved, z):
    """Fill rows (T+1, B, ≥ H+I+1), memory (T+1, B, H) and saved (T, B, ≥ k·H).

    x_t of sequence b lies at below_start + (t·B + b)·below_row of the flat array `below`. Then z = [h x 1] Wᵀ and the
    cell's own step. A block of z that stands apart is [x 1] Wᵀ, and in a gated cell a W_hnᵀ is added to that. rows[0]
    and memory[0] are the initial state.
    """
    once()
    batch, length, z_row = rows.shape[1], rows.shape[2], z.shape[1]
    width, units = cell.weight_hh.shape
    size = cell.weight_ih.shape[1]
    depth, joined = units + size + 1, width - is_gated(cell) * units
    o, one = number(0), number(1)
    flat, flat_z, flat_memory = flatten(rows), flatten(z), flatten(memory)
    for t in range(saved.shape[0]):
        at = t * batch * length
        copy_rows(below, below_start + t * batch * below_row, below_row, flat, at + units, length, batch, size)
        product(flat, at, length, one, ahead, o, o, flat_z, o, z_row, batch, joined, depth, o)
        if is_apart(cell) or is_gated(cell):
            product(
                flat, at + units, length, one, ahead, joined * depth, o,
                flat_z, joined, z_row, batch, units, size + 1, o,
            )  # fmt: skip
        if is_gated(cell):
            gated(cell, z, rows, memory, units, t)
            product(
                flat_memory, t * batch * units, units, one,
                ahead, joined * depth + (size + 1) * units, o, flat_z, joined, z_row, batch, units, units, one,
            )  # fmt: skip
        step(cell, activation, z, rows, memory, saved, units, t)


@inner
def _band(x):
    """Stored norms stay within 1/band … band: far smaller components, times a weight, are still normal numbers."""
    return 2.0**200 if x.itemsize == 8 else 2.0**24


@inner
def clear(x):
    """x ← 0. A loop: array expressions compile ten times slower."""
    once()
    for i in range(x.size):
        x[i] = 0


@inner
def scale(x, start, count, exponent):
    """x ← x · 2^exponent for `count` numbers from `start`, in place; what would be subnormal becomes 0."""
    once()
    most = 2044 if x.itemsize == 8 else 252  # in two factors, neither of which leaves the range of the type
    exponent = min(max(exponent, -most), most)
    half = exponent // 2
    multiply(x, start, count, 2.0**half, 2.0 ** (exponent - half))


@jit
def add_scaled(x, exponents, y, others):
    """x·2^exponents += y·2^others for numbers (n,), each with the larger of its two exponents; that of a 0 is none."""
    for i in range(x.size):
        more, other = y[i], others[i]
        if x[i] == 0.0 or (more != 0.0 and other > exponents[i]):
            more, other, x[i], exponents[i] = x[i], exponents[i], more, other
        x[i] += more if other == exponents[i] else more * 2.0 ** max(other - exponents[i], -2000)


@inner
def normalise(gradient, exponents):
    """Bring gradient (n, B, H) into the safe band, each of the n by itself; exponents (n,) take up the difference."""
    once()
    flat, count = flatten(gradient), gradient.shape[1] * gradient.shape[2]
    band = _band(flat)
    for k in range(gradient.shape[0]):
        largest = 0.0
        for i in range(k * count, (k + 1) * count):
            size = abs(float(flat[i]))
            if not size <= largest:
                largest = size
                if not np.isfinite(size):
                    break
        if largest == 0.0:
            exponents[k] = NOTHING
        elif np.isfinite(largest) and not 1 / band < largest < band:
            shift = int(np.floor(np.log2(largest)))
            scale(flat, k * count, count, -shift)
            exponents[k] += shift


@inner
def _add_arriving(dh, dc, exponent, arriving, start, other):
    """dh·2^exponent += arriving·2^other; returns the common exponent, the larger of the two."""
    once()
    if exponent < other:
        scale(dh, number(0), dh.size, exponent - other)
        scale(dc, number(0), dc.size, exponent - other)
        exponent = other
    if exponent == other:
        for i in range(dh.size):
            dh[i] += arriving[start + i]
    else:
        factor = dh.dtype.type(2.0 ** max(other - exponent, -2000))
        for i in range(dh.size):
            dh[i] += arriving[start + i] * factor
    return exponent


@inner
def backward(
    cell, activation, cut, want_weights, arriving, arriving_exponents, back, back_x,
    rows, memory, saved, dh, dc, dz, dw_h, dw_x, dx, norms, exponents,
):  # fmt: skip
    """Back through time: fill norms and exponents (T,), dw_h and dw_x as `split` reads them, and dx (T, B, I).

    ∂L/∂h_t = what arrives from above (arriving, (n, B, H): the last n timesteps, with exponents (n,)) + dz_{t+1} W_hh
    + the cell's direct path. norms[t]·2^exponents[t] is the sum over the batch of ‖∂L/∂h_{t+1}‖₂; dx[t] = dz W_ih
    has the same exponent, and may be empty. cut > 0 cuts the gradient before steps cut, 2·cut, … (truncated BPTT).
    dh, dc (B, H) are scratch, and so is dz (n, B, ≥ s·H): n timesteps, after which the weights' gradient is due, while
    all of it is still in the cache.
    """
    once()
    steps, batch = saved.shape[0], rows.shape[1]
    width, units = cell.weight_hh.shape
    size, joined, last = cell.weight_ih.shape[1], width - is_gated(cell) * units, steps - arriving.shape[0]
    o, one = number(0), number(1)
    flat_dz, flat_dh, flat_dc, flat_dx = flatten(dz), flatten(dh), flatten(dc), flatten(dx)
    flat_arriving, group, z_row, band = flatten(arriving), dz.shape[0], dz.shape[2], _band(flat_dh)
    clear(flat_dh)
    clear(flat_dc)
    clear(flatten(dw_h))
    clear(flatten(dw_x))
    exponent = number(NOTHING)
    until = steps  # the weights have seen the timesteps from here on
    for t in range(steps - 1, -1, -1):
        if t >= last and arriving_exponents[t - last] != NOTHING:
            start = (t - last) * batch * units
            exponent = _add_arriving(flat_dh, flat_dc, exponent, flat_arriving, start, arriving_exponents[t - last])
        slot = t % group
        at = slot * batch * z_row
        total, total_memory = pullback(cell, activation, saved, rows, memory, dh, dc, dz, t, slot)
        if is_gated(cell):  # da = dz W_hn, in the place of the first block's dz
            product(
                flat_dz, at + joined, z_row, one, back, joined * units, o, flat_dz, at, z_row, batch, units, units, o
            )
            gated_pullback(cell, saved, rows, dh, dz, t, slot)
        norms[t] = total
        exponents[t] = 0 if exponent == NOTHING else exponent
        if dx.size:
            both, at_x = width - is_apart(cell) * units, t * batch * size
            product(flat_dz, at, z_row, one, back_x, o, o, flat_dx, at_x, size, batch, size, both, o)
            if is_apart(cell):
                product(
                    flat_dz, at + width, z_row, one, back_x, both * size, o,
                    flat_dx, at_x, size, batch, size, units, one,
                )  # fmt: skip
        if cut > 0 and t % cut == 0:
            clear(flat_dh)
            clear(flat_dc)
            exponent = number(NOTHING)
        elif t > 0:
            product(flat_dz, at, z_row, one, back, o, o, flat_dh, o, units, batch, units, joined, carries_h(cell))
            size_now = max(total, total_memory) / batch
            if size_now == 0.0:
                exponent = number(NOTHING)
            elif np.isfinite(size_now) and not 1 / band < size_now < band:
                shift = int(np.floor(np.log2(size_now)))
                scale(flat_dh, o, flat_dh.size, -shift)
                scale(flat_dc, o, flat_dc.size, -shift)
                exponent += shift
        if want_weights:
            if exponents[t] != 0:  # the weights' gradient is as the floating type has it: underflow is 0
                scale(flat_dz, at, batch * z_row, exponents[t])
            if slot == 0:
                _add_to_weights(
                    units, size, is_apart(cell), is_gated(cell), dw_h, dw_x, flat_dz, z_row, rows, memory, t, until
                )
                until = t


@inner
def _add_to_weights(units, size, apart, gated, dw_h, dw_x, dz, z_row, rows, memory, start, until):
    """dw_h += Σₜ dz_tᵀ h_t and dw_x += Σₜ [x_t 1]ᵀ dz_t over start ≤ t < until; dz of `start` is in the ring's slot 0.

    Transposed, because x is often narrow: whole registers lie along dz. In a gated cell the last rows of dw_h are of a.
    """
    once()
    batch, length = rows.shape[1], rows.shape[2]
    width, row = dw_h.shape
    joined = width - gated * units
    count, sums = (until - start) * batch, width + apart * units
    o, one = number(0), number(1)
    flat, flat_h, at = flatten(rows), flatten(dw_h), start * batch * length
    product(dz, o, one, z_row, flat, at, length, flat_h, o, row, joined, units, count, one)
    if gated:
        a, at_a = flatten(memory), start * batch * units
        product(dz, joined, one, z_row, a, at_a, units, flat_h, joined * row, row, units, units, count, one)
    flat_x, of_x = flatten(dw_x), dw_x.shape[1]
    product(flat, at + units, one, length, dz, o, z_row, flat_x, o, of_x, size + 1, sums, count, one)
