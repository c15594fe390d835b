"""All that a shard does at one layer, in one call each way.

Between two kernels a thread holds Python's lock, and waits for it where other threads work: a call is a microsecond,
and in a server with many threads a wait.
"""

from engine._jit import jit
from engine.pointwise import is_apart, is_gated
from engine.readout import backward as head_backward
from engine.readout import forward as head_forward
from engine.unroll import backward as unroll_backward
from engine.unroll import clear, join, normalise, split
from engine.unroll import forward as unroll_forward


@jit
def forward(
    cell, activation, joins, below, below_start, below_row, joined, ahead, back, back_x, rows, memory, saved, z,
    weight, bias, first, packed, outputs,
):  # fmt: skip
    """The weights as the products want them (joins = 1), the timesteps, and the head where there are outputs."""
    if joins:
        weight_ih, weight_hh, bias_ih, bias_hh = cell
        join(weight_ih, weight_hh, bias_ih, bias_hh, is_apart(cell), is_gated(cell), joined, ahead, back, back_x)
    unroll_forward(cell, activation, ahead, below, below_start, below_row, rows, memory, saved, z)
    if outputs.size:
        head_forward(weight, bias, rows, first, packed, outputs)


@jit
def backward(
    cell, activation, cut, want_weights, splits, arriving, arriving_exponents, norms, exponents, d_outputs,
    head_weight, unit, first, d_head_weight, d_head_bias, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh,
    back, back_x, rows, memory, saved, dh, dc, dz, dw_h, dw_x, dx,
):  # fmt: skip
    """The head, where ∂L/∂outputs is given, and the timesteps; the weights' gradient by tensor (splits = 1)."""
    if d_outputs.size:
        clear(arriving_exponents)
        head_backward(head_weight, unit, rows, first, d_outputs, arriving, d_head_weight, d_head_bias)
    normalise(arriving, arriving_exponents)
    unroll_backward(
        cell, activation, cut, want_weights, arriving, arriving_exponents, back, back_x,
        rows, memory, saved, dh, dc, dz, dw_h, dw_x, dx, norms, exponents,
    )  # fmt: skip
    if splits:
        split(dw_h, dw_x, 0, is_apart(cell), d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh)
