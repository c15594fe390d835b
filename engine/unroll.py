"""The only two time loops of the engine, for every cell: forward through time, and back.

Gradients are kept exact far past the range of the floating type: the backward signal is scaled by powers of two
whenever it leaves a safe band, and the exponent is carried beside it: true gradient = stored · 2^exponent. That also
keeps subnormal numbers, which are 10 to 50 times slower, out of the loop.
"""

import numpy as np

from engine._jit import jit
from engine.matmul import column_sums, pack, pack_transposed, product
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
    h, z = hidden.reshape(-1), zh.reshape(-1)
    pack_transposed(cell.weight_ih, packed)
    product(inputs.reshape(-1), 0, size, 1, packed, 0, 0, zx.reshape(-1), 0, width, steps * batch, width, size, 0)
    pack_transposed(cell.weight_hh, packed)
    for t in range(steps):
        product(h, t * batch * units, units, 1, packed, 0, 0, z, 0, width, batch, width, units, 0)
        step(cell, activation, zx, zh, cell.bias_ih, cell.bias_hh, hidden, memory, saved, t)


@jit
def scale(x, exponent):
    """x ← x · 2^exponent, in place; what would be subnormal becomes 0."""
    exponent = min(max(exponent, -2200), 2200)
    half = exponent // 2  # in two factors, so that neither leaves the range of float64
    first, second = 2.0**half, 2.0 ** (exponent - half)
    least = np.finfo(x.dtype).tiny
    for i in range(x.size):
        y = float(x[i]) * first * second
        x[i] = 0.0 if abs(y) < least else y


@jit
def normalise(gradient, exponents):
    """Bring gradient (n, B, H) into the safe band, each of the n by itself; exponents (n,) take up the difference."""
    for k in range(gradient.shape[0]):
        flat = gradient[k].reshape(-1)
        largest = 0.0
        for i in range(flat.size):
            size = abs(float(flat[i]))
            if not size <= largest:  # NaN too
                largest = size
        if largest == 0.0:
            exponents[k] = NOTHING
        elif np.isfinite(largest) and not 1 / BAND < largest < BAND:
            shift = int(np.floor(np.log2(largest)))
            scale(flat, -shift)
            exponents[k] += shift


@jit
def _join(dh, dc, exponent, arriving, other):
    """dh·2^exponent += arriving·2^other; returns the common exponent, the larger of the two."""
    if exponent < other:
        scale(dh, exponent - other)
        scale(dc, exponent - other)
        exponent = other
    if exponent == other:
        for i in range(dh.size):
            dh[i] += arriving[i]
    else:
        factor = dh.dtype.type(2.0 ** max(other - exponent, -2000))
        for i in range(dh.size):
            dh[i] += arriving[i] * factor
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
    flat_dh, flat_dc = dh.reshape(-1), dc.reshape(-1)
    flat_dh[:] = 0
    flat_dc[:] = 0
    exponent = NOTHING
    pack(cell.weight_hh, packed)
    for t in range(steps - 1, -1, -1):
        if t >= last and arriving_exponents[t - last] != NOTHING:
            exponent = _join(flat_dh, flat_dc, exponent, arriving[t - last].reshape(-1), arriving_exponents[t - last])
        total, total_memory = pullback(cell, activation, saved, hidden, memory, dh, dc, dzx, dzh, t)
        norms[t] = total / batch
        exponents[t] = 0 if exponent == NOTHING else exponent
        if t == 0:
            break
        if cut > 0 and t % cut == 0:
            flat_dh[:] = 0
            flat_dc[:] = 0
            exponent = NOTHING
            continue
        product(dz, t * batch * width, width, 1, packed, 0, 0, flat_dh, 0, units, batch, units, width, carries_h)
        size = max(total, total_memory) / batch
        if size == 0.0:
            exponent = NOTHING
        elif np.isfinite(size) and not 1 / BAND < size < BAND:
            shift = int(np.floor(np.log2(size)))
            scale(flat_dh, -shift)
            scale(flat_dc, -shift)
            exponent += shift


@jit
def input_gradient(cell, dzx, packed, dx):
    """dX = dZ_x W_ih, (T, B, I), with the exponents of dzx."""
    steps, batch, width = dzx.shape
    size = dx.shape[2]
    pack(cell.weight_ih, packed)
    product(dzx.reshape(-1), 0, width, 1, packed, 0, 0, dx.reshape(-1), 0, size, steps * batch, size, width, 0)


@jit
def weight_gradients(cell, one_dz, inputs, hidden, dzx, dzh, exponents):
    """dW_ih = Σₜ dz_xᵀ x, dW_hh = Σₜ dz_hᵀ h_{t-1}, db = Σₜ dz, into the arrays of `cell`, here the gradients' tuple.

    dzx and dzh are first brought to their true size, as the floating type has it: underflow is 0, overflow infinity.
    """
    steps, batch, width = dzx.shape
    size, units = inputs.shape[2], hidden.shape[2]
    for t in range(steps):
        if exponents[t] != 0:
            scale(dzx[t].reshape(-1), exponents[t])
            if not one_dz:
                scale(dzh[t].reshape(-1), exponents[t])
    dx = dzx.reshape(-1)
    dz = dx if one_dz else dzh.reshape(-1)
    rows = steps * batch
    product(dx, 0, 1, width, inputs.reshape(-1), 0, size, cell.weight_ih.reshape(-1), 0, size, width, size, rows, 0)
    product(dz, 0, 1, width, hidden.reshape(-1), 0, units, cell.weight_hh.reshape(-1), 0, units, width, units, rows, 0)
    column_sums(dx.reshape(rows, width), cell.bias_ih)
    if one_dz:
        cell.bias_hh[:] = cell.bias_ih
    else:
        column_sums(dz.reshape(rows, width), cell.bias_hh)
