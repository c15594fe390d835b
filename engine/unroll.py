"""The only two time loops of the engine, for every cell: forward through time, and back.

Gradients are kept exact far past the range of the floating type: the backward signal is scaled by powers of two
whenever it leaves a safe band, and the exponent is carried beside it: true gradient = stored · 2^exponent. That also
keeps subnormal numbers, which are 10 to 50 times slower, out of the loop.
"""

import numpy as np

from engine._jit import jit
from engine.matmul import column_sums, number, pack, pack_transposed, product
from engine.pointwise import pullback, step

NOTHING = -(1 << 40)  # the exponent of a gradient that is exactly zero
BAND = 2.0**24  # stored norms stay within 1/BAND … BAND: squares of far smaller components still fit float32


@jit
def forward(cell, activation, inputs, packed, zx, zh, hidden, memory, saved):
    """Fill hidden (T+1, B, H), memory (the cells c; same shape) and saved (T, B, s·H) from inputs (T, B, I).

    Z_x = X W_ihᵀ for all timesteps at once; then at each: z_h = h W_hhᵀ, and the cell's own step. hidden[0] and
    memory[0] are the initial state. `packed` is scratch of the size of the larger weight matrix.
    """
    steps, batch, size = inputs.shape
    units, width = hidden.shape[2], zx.shape[2]
    h, z, o, one = hidden.reshape(-1), zh.reshape(-1), number(0), number(1)
    pack_transposed(cell.weight_ih, packed)
    product(inputs.reshape(-1), o, size, one, packed, o, o, zx.reshape(-1), o, width, steps * batch, width, size, o)
    pack_transposed(cell.weight_hh, packed)
    for t in range(steps):
        product(h, t * batch * units, units, one, packed, o, o, z, o, width, batch, width, units, o)
        step(cell, activation, zx, zh, cell.bias_ih, cell.bias_hh, hidden, memory, saved, t)


@jit
def clear(x):
    """x ← 0. A loop: array expressions compile ten times slower."""
    for i in range(x.size):
        x[i] = 0


@jit
def scale(x, start, count, exponent):
    """x ← x · 2^exponent for `count` numbers from `start`, in place; what would be subnormal becomes 0."""
    exponent = min(max(exponent, -2200), 2200)
    half = exponent // 2  # in two factors, so that neither leaves the range of float64
    first, second = 2.0**half, 2.0 ** (exponent - half)
    least = np.finfo(x.dtype).tiny
    for i in range(start, start + count):
        y = float(x[i]) * first * second
        x[i] = 0.0 if abs(y) < least else y


@jit
def normalise(gradient, exponents):
    """Bring gradient (n, B, H) into the safe band, each of the n by itself; exponents (n,) take up the difference."""
    flat, count = gradient.reshape(-1), gradient.shape[1] * gradient.shape[2]
    for k in range(gradient.shape[0]):
        largest = 0.0
        for i in range(k * count, (k + 1) * count):
            size = abs(float(flat[i]))
            if not size <= largest:  # NaN too
                largest = size
        if largest == 0.0:
            exponents[k] = NOTHING
        elif np.isfinite(largest) and not 1 / BAND < largest < BAND:
            shift = int(np.floor(np.log2(largest)))
            scale(flat, k * count, count, -shift)
            exponents[k] += shift


@jit
def _join(dh, dc, exponent, arriving, start, other):
    """dh·2^exponent += arriving·2^other; returns the common exponent, the larger of the two."""
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


@jit
def backward(
    cell, activation, carries_h, one_dz, cut, arriving, arriving_exponents,
    packed, hidden, memory, saved, dh, dc, dzx, dzh, norms, exponents,
):  # fmt: skip
    """Back through time: fill dzx, dzh (T, B, k·H; the same array where one_dz), norms and exponents (T,).

    ∂L/∂h_t = what arrives from above (arriving, (n, B, H): the last n timesteps, with exponents (n,)) + dz_{t+1} W_hh
    + the cell's direct path. norms[t]·2^exponents[t] is the mean over the batch of ‖∂L/∂h_{t+1}‖₂; dzx[t], dzh[t] carry
    the same exponent. cut > 0 cuts the gradient before steps cut, 2·cut, … (truncated BPTT). dh, dc are scratch.
    """
    steps, batch, width = dzx.shape
    units, last = hidden.shape[2], steps - arriving.shape[0]
    dz = dzx.reshape(-1) if one_dz else dzh.reshape(-1)
    flat_dh, flat_dc, flat_arriving = dh.reshape(-1), dc.reshape(-1), arriving.reshape(-1)
    clear(flat_dh)
    clear(flat_dc)
    o, one = number(0), number(1)
    exponent = number(NOTHING)
    pack(cell.weight_hh, packed)
    for t in range(steps - 1, -1, -1):
        if t >= last and arriving_exponents[t - last] != NOTHING:
            start = (t - last) * batch * units
            exponent = _join(flat_dh, flat_dc, exponent, flat_arriving, start, arriving_exponents[t - last])
        total, total_memory = pullback(cell, activation, saved, hidden, memory, dh, dc, dzx, dzh, t)
        norms[t] = total / batch
        exponents[t] = 0 if exponent == NOTHING else exponent
        if t == 0:
            break
        if cut > 0 and t % cut == 0:
            clear(flat_dh)
            clear(flat_dc)
            exponent = number(NOTHING)
            continue
        product(dz, t * batch * width, width, one, packed, o, o, flat_dh, o, units, batch, units, width, carries_h)
        size = max(total, total_memory) / batch
        if size == 0.0:
            exponent = number(NOTHING)
        elif np.isfinite(size) and not 1 / BAND < size < BAND:
            shift = int(np.floor(np.log2(size)))
            scale(flat_dh, o, flat_dh.size, -shift)
            scale(flat_dc, o, flat_dc.size, -shift)
            exponent += shift


@jit
def input_gradient(cell, dzx, packed, dx):
    """dX = dZ_x W_ih, (T, B, I), with the exponents of dzx."""
    steps, batch, width = dzx.shape
    size, o, one = dx.shape[2], number(0), number(1)
    pack(cell.weight_ih, packed)
    product(dzx.reshape(-1), o, width, one, packed, o, o, dx.reshape(-1), o, size, steps * batch, size, width, o)


@jit
def weight_gradients(cell, one_dz, inputs, hidden, dzx, dzh, exponents):
    """dW_ih = Σₜ dz_xᵀ x, dW_hh = Σₜ dz_hᵀ h_{t-1}, db = Σₜ dz, into the arrays of `cell`, here the gradients' tuple.

    dzx and dzh are first brought to their true size, as the floating type has it: underflow is 0, overflow infinity.
    """
    steps, batch, width = dzx.shape
    size, units = inputs.shape[2], hidden.shape[2]
    dx = dzx.reshape(-1)
    dz = dx if one_dz else dzh.reshape(-1)
    count = batch * width
    for t in range(steps):
        if exponents[t] != 0:
            scale(dx, t * count, count, exponents[t])
            if not one_dz:
                scale(dz, t * count, count, exponents[t])
    rows, o, one = steps * batch, number(0), number(1)
    product(dx, o, one, width, inputs.reshape(-1), o, size, cell.weight_ih.reshape(-1), o, size, width, size, rows, o)
    product(
        dz, o, one, width, hidden.reshape(-1), o, units, cell.weight_hh.reshape(-1), o, units, width, units, rows, o
    )
    column_sums(dx, cell.bias_ih)
    column_sums(dz, cell.bias_hh)
