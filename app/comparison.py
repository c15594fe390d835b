"""A run of several experiments at once, which differ in one field: one player for all. No Streamlit in here."""

from collections.abc import Callable, Mapping
from typing import Any

import engine
from app.bands import Bands
from app.figures.palette import Palette
from app.figures.template import Part
from app.figures.versus import Versus
from app.figures.versus_flow import MAPS, flow, gap
from app.figures.versus_training import loss, loss_gap, norm
from app.figures.versus_words import table, verdict
from app.limits import seconds
from app.lockstep import Lockstep
from app.networks import DRAWN, Network
from app.runs import Run
from app.versus import Compared

PICTURES = ("flow", "gap", "loss", "loss_gap", "norm")
KEPT = 6  # answers over many seeds that are kept: each took minutes, and they are small


class Comparison(Run):
    """What a stage needs of a run, for experiments that train in lock-step. Configured with a Compared."""

    figures: Mapping[str, Callable[[Any, Palette], Part]] = {
        "flow": flow,
        "gap": gap,
        "loss": loss,
        "loss_gap": loss_gap,
        "norm": norm,
        **MAPS,
    }

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.bands: dict[tuple[Any, ...], Bands] = {}  # by experiments, seeds and steps

    def configure(self, e: Any, network: Network | None = None) -> None:
        """`e`: a Compared."""
        super().configure(e, network)

    def head(self) -> dict[str, Any]:
        with self._lock:
            head = super().head()
            if isinstance(self._training, Lockstep):
                layers = max(e.num_layers for e in self._training.seen.compared.experiments)
                head["run"] |= {
                    "step": self._training.at(self._show), "layers": layers, "layer": min(self._layer, layers - 1),
                }  # fmt: skip
        return head

    def words(self, snapshot: Versus, theme: str) -> dict[str, Any]:
        return {"verdict": verdict(snapshot), "cost": "", "radii": None, "table": table(snapshot, theme)}

    def over_seeds(self, c: Compared, seeds: int, steps: int) -> Bands:
        """The same experiments over many seeds: at work, or done."""
        network = self._given(c)
        key = (c.field, c.experiments, seeds, steps, network.key if network is not None else "")
        if key not in self.bands:
            for other in [k for k, bands in self.bands.items() if not bands.done.is_set()]:
                self.bands.pop(other).cancel()  # of what is no longer asked for
            while len(self.bands) >= KEPT:
                self.bands.pop(next(iter(self.bands))).cancel()
            self.bands[key] = Bands(c, seeds, steps, network).start(self._pool)
        self.bands[key].want()
        return self.bands[key]

    def forget(self, bands: Bands) -> None:
        """Compute it anew, when it is asked for again."""
        for key in [key for key, other in self.bands.items() if other is bands]:
            del self.bands[key]

    def close(self) -> None:
        super().close()
        for bands in list(self.bands.values()):
            bands.cancel()
        self.bands.clear()

    def _seconds(self, e: Any) -> float:
        return sum(map(seconds, e.experiments))

    def _trained(self, e: Any, start: Any) -> Any:
        return Lockstep(e, self._given(e))

    def _given(self, c: Compared) -> Network | None:
        """Whose weights they begin with; None: drawn ones, also where it is compared how they are drawn."""
        return self.network if c.field not in DRAWN else None

    def _change(self, e: Any, setting: int) -> None:
        """One that joins catches up at once, whether or not the run plays."""
        super()._change(e, setting)
        with self._lock:
            if isinstance(self._training, Lockstep) and self._training.behind and not self._playing:
                self._goal = max(self._goal or 0, self._training.front)

    def _compiling(self, e: Any) -> bool:
        """One after the other, those that are not compiled yet."""
        missing = next((one for one in e.experiments if not engine.is_compiled(one)), None)
        return missing is not None and super()._compiling(missing)
