"""The linear head, y = h Vᵀ + c, at the last timestep or at every one, and its gradients.

`rows` (T+1, B, ≥ H) begin with the states h; they are read from timestep `first` on.
"""

from engine._jit import inner
from engine.matmul import flatten, number, once, pack, product


@inner
def forward(weight, bias, rows, first, packed, outputs):
    """outputs (S, B, O) of the states `first`, first+1, …, T."""
    once()
    _, batch, length = rows.shape
    size, units = weight.shape
    count = outputs.shape[0] * batch
    y, o, one = flatten(outputs), number(0), number(1)
    pack(flatten(weight), o, one, units, units, size, packed, o)
    product(flatten(rows), first * batch * length, length, one, packed, o, o, y, o, size, count, size, units, o)
    for r in range(count):
        for k in range(size):
            y[r * size + k] += bias[k]


@inner
def backward(weight, unit, rows, first, d_outputs, d_hidden, weight_gradient, bias_gradient):
    """dV = Σ dyᵀ h, dc = Σ dy, and d_hidden (S, B, H) = dy V; unit (1,) holds 1: with strides 0 it is a row of ones."""
    once()
    _, batch, length = rows.shape
    size, units = weight.shape
    count = d_outputs.shape[0] * batch
    dy, o, one = flatten(d_outputs), number(0), number(1)
    dv = flatten(weight_gradient)
    product(dy, o, one, size, flatten(rows), first * batch * length, length, dv, o, units, size, units, count, o)
    product(dy, o, size, one, flatten(weight), o, units, flatten(d_hidden), o, units, count, units, size, o)
    product(unit, o, o, o, dy, o, size, bias_gradient, o, size, one, size, count, o)
