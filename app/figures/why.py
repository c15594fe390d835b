"""The closer looks: the question of each, the sentence that answers it in numbers, and its pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from app.figures import clipping, credit, exponents, film, floating, gate_use, moves, spectrum, surface
from app.figures.asked import Asked, Draw
from app.figures.palette import palette
from app.figures.template import standalone


@dataclass(frozen=True)
class Closer:
    question: str
    sentence: Callable[[Asked], str]
    pictures: Callable[[Asked], Mapping[str, Draw]]


WHY: dict[str, Closer] = {
    "credit": Closer(
        "Which step of the past does the loss still feel?",
        credit.sentence,
        lambda a: {"matrix": credit.matrix, "by_lag": credit.by_lag, "by_step": credit.by_step},
    ),
    "spectrum": Closer(
        "What does a step back do to a gradient, and what do many?",
        spectrum.sentence,
        lambda a: {"singular": spectrum.singular, "product": spectrum.product, "powers": spectrum.powers},
    ),
    "exponents": Closer(
        "Does a small difference grow or die?",
        exponents.sentence,
        lambda a: {"spectrum": exponents.spectrum, "settling": exponents.settling},
    ),
    "over_training": Closer("Does training move it to the edge?", film.sentence, film.pictures),
    "landscape": Closer("What does the loss look like around here?", surface.sentence, surface.pictures),
    "gates": Closer("How long do the gates keep, and do they still move?", gate_use.sentence, gate_use.pictures),
    "floats": Closer("What would plain float32 have seen?", floating.sentence, floating.pictures),
    "update": Closer("What does the optimizer make of the gradient?", moves.sentence, moves.pictures),
    "clipping": Closer("What does clipping change about the step?", clipping.sentence, clipping.pictures),
}


def closer_figure(name: str, picture: str, a: Asked, theme: str = "light") -> go.Figure:
    """One of these pictures as a Plotly figure that stands on its own, for a notebook."""
    p = palette(theme)
    return go.Figure(standalone(p, WHY[name].pictures(a)[picture](a, p)))
