"""The linear head, y = h Vᵀ + c, at the last timestep or at every one, and its gradients."""

from engine._jit import jit
from engine.matmul import number, pack_transposed, product


@jit
def forward(weight, bias, hidden, first, packed, outputs):
    """outputs (S, B, O) from hidden (T+1, B, H): of the states `first`, first+1, …, T."""
    _, batch, size = outputs.shape
    units, rows = hidden.shape[2], outputs.shape[0] * outputs.shape[1]
    y, o, one = outputs.reshape(-1), number(0), number(1)
    pack_transposed(weight, packed)
    product(hidden.reshape(-1), first * batch * units, units, one, packed, o, o, y, o, size, rows, size, units, o)
    for r in range(rows):
        for k in range(size):
            y[r * size + k] += bias[k]


@jit
def backward(weight, unit, hidden, first, d_outputs, d_hidden, weight_gradient, bias_gradient):
    """dV += Σ dyᵀ h, dc += Σ dy, and d_hidden (S, B, H) = dy V; unit (1,) holds 1."""
    _, batch, size = d_outputs.shape
    units, rows = hidden.shape[2], d_outputs.shape[0] * d_outputs.shape[1]
    dy, h, o, one = d_outputs.reshape(-1), hidden.reshape(-1), number(0), number(1)
    product(
        dy, o, one, size, h, first * batch * units, units, weight_gradient.reshape(-1), o, units, size, units, rows, o
    )
    product(dy, o, size, one, weight.reshape(-1), o, units, d_hidden.reshape(-1), o, units, rows, units, size, o)
    product(unit, o, o, o, dy, o, size, bias_gradient, o, size, one, size, rows, one)
