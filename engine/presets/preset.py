"""What a preset is: the row of the table, and nothing else."""

from dataclasses import dataclass

from engine.experiment import Experiment
from engine.rows import Row

CLAIMS = ("learns", "stuck", "vanishes", "explodes", "diverges", "overfits")


@dataclass(frozen=True)
class Preset(Row):
    """An experiment worth looking at. `meaning` is one sentence that says what to look for; `source` where it is from.

    `claim` is what the sentence says of the run after `steps` training steps, and what a test proves: "learns" (the
    validation loss is below `final`), "stuck" (it is no better than its baseline), "vanishes", "explodes" (the
    gradient, at the start), "diverges", "overfits" (training loss below `final`, validation loss not below baseline).
    """

    group: str  # "Articles" or "Classics": its heading in a menu
    experiment: Experiment
    claim: str
    steps: int
    final: float | None = None
