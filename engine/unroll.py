"""The only two time loops of the engine, for every cell: forward through time, and back.

Gradients are kept exact far past the range of the floating type: the backward signal is scaled by powers of two
whenever it leaves a safe band, and the exponent is carried beside it: true gradient = stored · 2^exponent. That also
keeps subnormal numbers, which are 10 to 50 times slower, out of the loop.
"""

import numpy as np

from engine._jit import jit
from engine.matmul import lanes_of, number, pack, pack_transposed, product
from engine.pointwise import gated, gated_pullback, is_gated, pullback, step

NOTHING = -(1 << 40)  # the exponent of a gradient that is exactly zero


@jit
def forward(cell, activation, inputs, packed_ih, packed_hh, zx, zh, hidden, memory, saved):
    """Fill hidden (T+1, B, H), memory (the cells c; same shape) and saved (T, B, s·H) from inputs (T, B, I).

    At each timestep z_x = x W_ihᵀ, z_h = h W_hhᵀ, (B, k·H) both, and the cell's own step. In a gated cell the last
    block of z_h is a product of a, the last block of saved[t], instead. hidden[0] and memory[0] are the initial state;
    packed_ih and packed_hh are scratch of the size of the weights.
    """
    steps, batch, size = inputs.shape
    units, width, kept = hidden.shape[2], zx.shape[1], saved.shape[2]
    of_h = width - is_gated(cell) * units  # blocks of W_hh that multiply h
    o, one = number(0), number(1)
    x, h, flat_zx, flat_zh = inputs.reshape(-1), hidden.reshape(-1), zx.reshape(-1), zh.reshape(-1)
    flat_saved = saved.reshape(-1)
    pack_transposed(cell.weight_ih, packed_ih)
    pack_transposed(cell.weight_hh[:of_h], packed_hh)
    if is_gated(cell):
        pack_transposed(cell.weight_hh[of_h:], packed_hh[of_h * units :])
    for t in range(steps):
        product(x, t * batch * size, size, one, packed_ih, o, o, flat_zx, o, width, batch, width, size, o)
        product(h, t * batch * units, units, one, packed_hh, o, o, flat_zh, o, width, batch, of_h, units, o)
        if is_gated(cell):
            gated(cell, zx, zh, cell.bias_ih, cell.bias_hh, hidden, saved, t)
            product(
                flat_saved, t * batch * kept + kept - units, kept, one, packed_hh, of_h * units, o,
                flat_zh, of_h, width, batch, units, units, o,
            )  # fmt: skip
        step(cell, activation, zx, zh, cell.bias_ih, cell.bias_hh, hidden, memory, saved, t)


@jit
def _band(x):
    """Stored norms stay within 1/band … band: far smaller components, times a weight, are still normal numbers."""
    return 2.0**200 if x.itemsize == 8 else 2.0**24


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
    flat, count, band = gradient.reshape(-1), gradient.shape[1] * gradient.shape[2], _band(gradient)
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
    cell, gradient, activation, carries_h, one_dz, cut, want_weights, want_inputs, arriving, arriving_exponents,
    packed_ih, packed_hh, inputs, hidden, memory, saved, unit, dh, dc, dzx, dzh, dx, norms, exponents,
):  # fmt: skip
    """Back through time: fill norms and exponents (T,), the weights' gradient, and dx (T, B, I) for the layer below.

    ∂L/∂h_t = what arrives from above (arriving, (n, B, H): the last n timesteps, with exponents (n,)) + dz_{t+1} W_hh
    + the cell's direct path. norms[t]·2^exponents[t] is the mean over the batch of ‖∂L/∂h_{t+1}‖₂; dx[t] = dz W_ih has
    the same exponent. cut > 0 cuts the gradient before steps cut, 2·cut, … (truncated BPTT). dh, dc (B, H) are scratch,
    and so are dzx, dzh (n, B, k·H; the same array where one_dz): n timesteps, after which dW += dzᵀ [x, h] is due,
    while all of it is still in the cache. unit (1,) holds 1.
    """
    steps, batch, size = inputs.shape
    units, width, last = hidden.shape[2], dzx.shape[2], steps - arriving.shape[0]
    of_h = width - is_gated(cell) * units  # blocks of W_hh that multiply h
    group, count, band = dzx.shape[0], batch * width, _band(dh)
    o, one = number(0), number(1)
    dz_x = dzx.reshape(-1)
    dz_h = dz_x if one_dz else dzh.reshape(-1)
    flat_dh, flat_dc, flat_dx, flat_arriving = dh.reshape(-1), dc.reshape(-1), dx.reshape(-1), arriving.reshape(-1)
    clear(flat_dh)
    clear(flat_dc)
    exponent = number(NOTHING)
    pack(cell.weight_hh[:of_h], packed_hh)
    if is_gated(cell):
        pack(cell.weight_hh[of_h:], packed_hh[of_h * units :])
    narrow = size < lanes_of(dh) and not want_inputs  # few inputs: dW_ih is computed transposed, whole registers wide
    if want_inputs:
        pack(cell.weight_ih, packed_ih)
    elif narrow:
        clear(packed_ih)
    until = steps  # the weights have seen the timesteps from here on
    for t in range(steps - 1, -1, -1):
        if t >= last and arriving_exponents[t - last] != NOTHING:
            start = (t - last) * batch * units
            exponent = _join(flat_dh, flat_dc, exponent, flat_arriving, start, arriving_exponents[t - last])
        slot = t % group
        total, total_memory = pullback(cell, activation, saved, hidden, memory, dh, dc, dzx, dzh, t, slot)
        if is_gated(cell):  # da = dz W_hh of the last block, in the place of the first block's dz
            at = slot * count
            product(dz_h, at + of_h, width, one, packed_hh, of_h * units, o, dz_h, at, width, batch, units, units, o)
            gated_pullback(cell, saved, hidden, dh, dzh, t, slot)
        norms[t] = total / batch
        exponents[t] = 0 if exponent == NOTHING else exponent
        if want_inputs:
            product(
                dz_x, slot * count, width, one, packed_ih, o, o,
                flat_dx, t * batch * size, size, batch, size, width, o,
            )  # fmt: skip
        if cut > 0 and t % cut == 0:
            clear(flat_dh)
            clear(flat_dc)
            exponent = number(NOTHING)
        elif t > 0:
            product(
                dz_h, slot * count, width, one, packed_hh, o, o, flat_dh, o, units, batch, units, of_h, carries_h
            )  # fmt: skip
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
                scale(dz_x, slot * count, count, exponents[t])
                if not one_dz:
                    scale(dz_h, slot * count, count, exponents[t])
            if slot == 0:
                _add_to_weights(gradient, packed_ih, narrow, unit, dz_x, dz_h, inputs, hidden, saved, t, until, width)
                until = t
    if want_weights and narrow:
        for k in range(width):
            for i in range(size):
                gradient.weight_ih[k, i] = packed_ih[i * width + k]


@jit
def _add_to_weights(gradient, transposed, narrow, unit, dz_x, dz_h, inputs, hidden, saved, start, until, width):
    """dW_ih += Σₜ dz_xᵀ x_t, dW_hh += Σₜ dz_hᵀ h_{t-1}, db += Σₜ 1ᵀ dz over start ≤ t < until.

    In a gated cell the last block of dW_hh is of a, the last block of saved[t], instead of h. dz of timestep `start` is
    in the ring's slot 0. Where narrow, dW_ihᵀ goes to `transposed` instead. `unit` holds a single 1: with strides 0 it
    is a row of ones.
    """
    _, batch, size = inputs.shape
    units, rows = hidden.shape[2], (until - start) * batch
    of_h = width - is_gated(gradient) * units
    o, one = number(0), number(1)
    dw_hh = gradient.weight_hh.reshape(-1)
    x, at_x = inputs.reshape(-1), start * batch * size
    if narrow:
        product(x, at_x, one, size, dz_x, o, width, transposed, o, width, size, width, rows, one)
    else:
        product(dz_x, o, one, width, x, at_x, size, gradient.weight_ih.reshape(-1), o, size, width, size, rows, one)
    h, at_h = hidden.reshape(-1), start * batch * units
    product(dz_h, o, one, width, h, at_h, units, dw_hh, o, units, of_h, units, rows, one)
    if is_gated(gradient):
        a, kept = saved.reshape(-1), saved.shape[2]
        at_a = start * batch * kept + kept - units
        product(dz_h, of_h, one, width, a, at_a, kept, dw_hh, of_h * units, units, units, units, rows, one)
    product(unit, o, o, o, dz_x, o, width, gradient.bias_ih, o, width, one, width, rows, one)
    product(unit, o, o, o, dz_h, o, width, gradient.bias_hh, o, width, one, width, rows, one)
