"""Singular values of long products of matrices, exact past the range of float64; the product itself is never formed.

P = U diag(2^e) V is kept in factors: U orthonormal, e descending exponents, V well-conditioned (the "UDT" form of
quantum Monte Carlo, Loh et al. 1992, by QR decompositions with the columns sorted beforehand). A factor J from the left
is J U = Q R, so that U ← Q, 2^e takes up |diag R|, and V the rest.
"""

import numpy as np

NEAR, CORE = 20.0, 4.0  # singular values more than 2^20 apart do not disturb each other; 2^4: of those found together
SWEEPS = 3  # each one makes what is left of that smaller by the square of the distance


class Product:
    """J_n … J_2 J_1 of square matrices (S, S); `times` adds one from the left. Begins as the identity."""

    def __init__(self, size: int) -> None:
        self._left, self._right = np.eye(size), np.eye(size)
        self._exponents = np.zeros(size)  # log2; −inf: an exact 0

    @np.errstate(all="ignore")
    def times(self, j: np.ndarray) -> None:
        """P ← J P."""
        j = j @ self._left
        order = np.argsort(-(self._exponents + np.log2(np.linalg.norm(j, axis=0))), kind="stable")
        exponents, right = self._exponents[order], self._right[order]
        if not np.isfinite(j).all():
            self._exponents = np.full(len(j), np.nan)
            return
        self._left, r = np.linalg.qr(j[:, order])
        own, diagonal = exponents, np.abs(np.diagonal(r)).copy()
        diagonal[diagonal <= len(r) * np.finfo(float).eps * np.linalg.norm(r, axis=0).max()] = 0.0  # rounding of a 0
        self._exponents = own + np.log2(diagonal)
        self._right = _scaled(r, own, self._exponents) @ right

    def log2_singular_values(self) -> np.ndarray:
        """(S,) descending; −inf for an exact 0, NaN where a factor was not finite."""
        e = self._exponents
        if np.isnan(e).any():
            return e.copy()
        found = np.full(len(e), -np.inf)
        order = np.argsort(-e, kind="stable")
        kept = order[np.isfinite(e[order])]  # the rows with an exact 0 add nothing
        e = e[kept]
        r = np.asarray(np.linalg.qr(self._right[kept].T, mode="r"))  # Pᵀ up to a rotation: R diag(2^e)
        for _ in range(SWEEPS):  # R diag(2^e) transposed is K diag(2^e), with K = diag(2^e) Rᵀ diag(2^−e)
            r = np.asarray(np.linalg.qr(_scaled(r.T, -e, -e), mode="r"))
        found[: len(e)] = _nearly_diagonal(r, e)
        return found


def _scaled(r: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """diag(2^−rows) R diag(2^columns); exponents may be −inf (such a row becomes 0) and out of range; 0 stays 0."""
    with np.errstate(all="ignore"):
        scaled = r * np.exp2(columns - rows[:, None])
    return np.where((r == 0) | np.isneginf(rows)[:, None], 0.0, scaled)


def _nearly_diagonal(r: np.ndarray, e: np.ndarray) -> np.ndarray:
    """log2 of the singular values of R diag(2^e), e descending, where only near ones still disturb each other.

    Window by window: the singular values of all that lie within 2^NEAR of a few, the core, which are exact to that.
    """
    with np.errstate(divide="ignore"):
        at = -np.minimum.accumulate(e + np.log2(np.abs(np.diagonal(r))))  # ascending
    found, start = np.zeros(len(e)), 0
    while start < len(e):
        end = int(np.searchsorted(at, at[start] + CORE, side="right"))
        low, high = np.searchsorted(at, [at[start] - NEAR, at[end - 1] + NEAR])
        window = slice(int(low), max(int(high), end))
        with np.errstate(divide="ignore", under="ignore"):
            values = np.linalg.svd(r[window, window] * np.exp2(e[window] + at[start]), compute_uv=False)
            found[start:end] = np.log2(values[start - low : end - low]) - at[start]
        start = end
    return found
