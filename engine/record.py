"""What is remembered of a training run, in bounded memory: step 0 and an even selection of the others, to the end."""

import numpy as np

from engine.network import Network, log10_of
from engine.parameters import frozen

MOST_ENTRIES = 1 << 18  # of each curve
ROW_BYTES, MOST_ROWS, FEWEST_ROWS = 64 << 20, 512, 16  # what the kept rows of gradient norms may take


class Curves:
    """Some numbers of each step. When full, every second step is dropped: of 2ⁿ steps, one is kept from then on."""

    def __init__(self, count: int) -> None:
        self._values = np.full((count, min(256, MOST_ENTRIES)), np.nan)
        self._length, self._stride = 0, 1

    def add(self, step: int, values: tuple[float, ...]) -> None:
        """The numbers of the next step. What `arrays` gave before does not change."""
        if self._length == MOST_ENTRIES and step % self._stride == 0:
            self._stride *= 2
            self._replace(self._values[:, ::2], MOST_ENTRIES)
        if step % self._stride:
            return
        if self._length == self._values.shape[1]:
            self._replace(self._values, min(2 * self._length, MOST_ENTRIES))
        self._values[:, self._length] = values
        self._length += 1

    def go_on(self, at: np.ndarray, *curves: np.ndarray) -> None:
        """Go on from what `arrays` gave."""
        self._stride = int(at[1]) if len(at) > 1 else 1
        room = min(256, MOST_ENTRIES)
        while room < len(at):
            room *= 2
        self._replace(np.stack(curves), min(room, MOST_ENTRIES))

    def _replace(self, values: np.ndarray, room: int) -> None:
        self._length = values.shape[1]
        self._values = np.full((len(values), room), np.nan)
        self._values[:, : self._length] = values

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The steps, and each curve at them, (entries,); read-only."""
        at = np.arange(self._length) * self._stride
        return frozen(at), *(frozen(curve[: self._length]) for curve in self._values)


class Rows:
    """Gradient norms of each timestep and layer, (L, T), thinned in the same way."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape, size = shape, 16 * shape[0] * shape[1]
        self._most, self._stride = max(FEWEST_ROWS, min(MOST_ROWS, ROW_BYTES // size)), 1
        self._kept: list[
            tuple[int, np.ndarray, np.ndarray | None]
        ] = []  # (step, norms, exponents), or (step, log10, None)

    def add(self, step: int, network: Network) -> None:
        """Those of the network's last pass."""
        if step % self._stride:
            return
        if len(self._kept) == self._most:
            self._kept, self._stride = self._kept[::2], 2 * self._stride
            if step % self._stride:
                return
        self._kept.append((step, *network.mean_norms()))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Their steps, and log10 norms (rows, L, T); copies."""
        if not self._kept:
            return np.zeros(0, np.int64), np.zeros((0, *self._shape))
        self._kept = [
            (step, norms if exponents is None else log10_of(norms, exponents), None)
            for step, norms, exponents in self._kept
        ]
        return np.array([step for step, _, _ in self._kept]), np.stack([log10 for _, log10, _ in self._kept])

    def go_on(self, at: np.ndarray, log10: np.ndarray) -> None:
        """Go on from what `arrays` gave."""
        self._kept = [(int(step), row, None) for step, row in zip(at, log10, strict=True)]
        self._stride = int(at[1]) if len(at) > 1 else 1
