"""The embedding: a table with one row a symbol, in place of one-hot inputs (torch.nn.Embedding)."""

from engine._jit import jit


@jit
def backward(symbols, d_inputs, exponents, gradient):
    """dE[s] += Σ over all inputs that are symbol s of d_inputs · 2^exponent.

    symbols (T, B); d_inputs (T, B, E) with exponents (T,); gradient (V, E).
    """
    for t in range(symbols.shape[0]):
        exponent = min(max(exponents[t], -2200), 2200)
        first, second = 2.0 ** (exponent // 2), 2.0 ** (exponent - exponent // 2)  # neither leaves the range of float64
        for b in range(symbols.shape[1]):
            row = gradient[symbols[t, b]]
            for k in range(row.size):
                row[k] += d_inputs[t, b, k] * first * second
