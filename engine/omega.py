"""Pascanu's Ω: asks that a gradient keeps its length from each step to the one before."""

import numpy as np

from engine.network import Network


def omega(network: Network, d_outputs: np.ndarray, cut: int = 0) -> tuple[float, list[np.ndarray]]:
    """Ω and its immediate gradient with respect to each layer's W_hh, (H, H)."""
    raise NotImplementedError
