"""The linear head, y = h Vᵀ + c, at the last timestep or at every one, and its gradients."""

from engine._jit import jit
from engine.matmul import column_sums, pack_transposed, product


@jit
def forward(weight, bias, hidden, first, packed, outputs):
    """outputs (S, B, O) from hidden (T+1, B, H): of the states `first`, first+1, …, T."""
    count, batch, size = outputs.shape
    units, rows = hidden.shape[2], outputs.shape[0] * outputs.shape[1]
    y = outputs.reshape(-1)
    pack_transposed(weight, packed)
    product(hidden.reshape(-1), first * batch * units, units, 1, packed, 0, 0, y, 0, size, rows, size, units, 0)
    for r in range(rows):
        for o in range(size):
            y[r * size + o] += bias[o]


@jit
def backward(weight, hidden, first, d_outputs, d_hidden, weight_gradient, bias_gradient):
    """dV = Σ dyᵀ h, dc = Σ dy, and d_hidden (S, B, H) = dy V."""
    count, batch, size = d_outputs.shape
    units, rows = hidden.shape[2], d_outputs.shape[0] * d_outputs.shape[1]
    dy, h = d_outputs.reshape(-1), hidden.reshape(-1)
    product(dy, 0, 1, size, h, first * batch * units, units, weight_gradient.reshape(-1), 0, units, size, units, rows, 0)
    product(dy, 0, size, 1, weight.reshape(-1), 0, units, d_hidden.reshape(-1), 0, units, rows, units, size, 0)
    column_sums(d_outputs.reshape(rows, size), bias_gradient)
