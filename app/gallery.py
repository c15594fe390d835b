"""The gallery: a dozen things worth a click, each with a moving picture of real numbers, and where it leads.

A card is one row. Its title and claim are message ids; numbers in a claim are proved in tests/test_gallery.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import numpy as np

import engine
from app import footage, link, small
from app.films import Films
from app.footage import Footage
from app.lessons import LESSONS
from app.words import N_

PRESETS = engine.PRESETS
FORGET = PRESETS["lstm_forget_0"].experiment
CHAOS, HIDDEN = PRESETS["chaos"].experiment, LESSONS["optimizer"].experiment
CURES = HIDDEN.replace(optimizer="adam", lr=0.01)
GAINS = tuple(round(float(gain), 2) for gain in np.linspace(0.5, 2.0, 24))


@dataclass(frozen=True)
class Card:
    """`page`: where it leads; `preset`, `values`: the experiment there; `beside`: of Small worlds; `extra`: further
    words of the address; `panel`: the question that is opened on Why. `film` makes its picture, with these kernels."""

    title: str
    claim: str
    page: str
    film: Callable[[], Footage]
    needs: tuple[engine.Experiment, ...] = ()
    preset: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    panel: str = ""
    cost: float = 0.1  # seconds of work, about: the cheapest films are made first

    @property
    def experiment(self) -> engine.Experiment:
        return link.experiment({**link.base(self.preset), **self.values})

    @property
    def href(self) -> str:
        return self.address()

    def address(self, lang: str = "") -> str:
        """Its address, seen from the page at /; `lang`: the language that was chosen, if any."""
        query = small.write({**small.DEFAULTS, **self.beside}) | dict(self.extra)
        if self.page not in ("small", "lessons"):
            query = link.write(self.experiment, self.preset) | query
        query |= {"lang": lang} if lang else {}
        return self.page + ("?" + urlencode(query) if query else "")


def _of_preset(
    title: str, claim: str, preset: str, film: Callable[[], Footage], page: str = "explore", **more: Any
) -> Card:
    return Card(title, claim, page, film, (PRESETS[preset].experiment,), preset, **more)


CARDS: dict[str, Card] = {
    "vanish": Card(
        N_("Sixteen decades lost"),
        N_("A plain network learns to add, and its gradient dies on 100 steps back."),
        "explore",
        lambda: footage.flow(engine.Experiment(), 200),
        (engine.Experiment(),),
        cost=0.5,
    ),
    "edge": _of_preset(
        N_("From forgetting to chaos"),
        N_("One number decides: the gain of the weights, here from 0.5 to 2."),
        "chaos",
        lambda: footage.over("gain", GAINS, CHAOS),
        values={"gain": 1.0},
    ),
    "cliff": Card(
        N_("One step off the cliff"),
        N_("Gradient descent meets a wall and is thrown far away. Clipped, it stays."),
        "small",
        footage.cliff,
    ),
    "gru": _of_preset(
        N_("Gates that learn to keep"),
        N_("A GRU loses 13 decades at first; after 300 steps the gradient arrives."),
        "healthy",
        lambda: footage.flow_map(PRESETS["healthy"].experiment, 300),
        cost=1.7,
    ),
    "lesson": Card(
        N_("Adam hides it"),
        N_("The gradient is 8 decades too small: SGD stands still, Adam learns."),
        "lessons",
        lambda: footage.losses(200, CURES, HIDDEN),
        (CURES, HIDDEN),
        extra={"lesson": "optimizer"},
        cost=0.4,
    ),
    "two": Card(
        N_("Two bits in two units"),
        N_("Wherever two units start, they come to rest at one of four points."),
        "small",
        footage.two_units,
        beside={"part": "two"} | small.preset_values("two", "four"),
    ),
    "explode": _of_preset(
        N_("Nineteen decades gained"),
        N_("Weights from N(0, 1), as in many a tutorial: the gradient only grows."),
        "n01_exploding",
        lambda: footage.flow(PRESETS["n01_exploding"].experiment, 60),
        cost=0.2,
    ),
    "versus": _of_preset(
        N_("One number, four memories"),
        N_("The same LSTM with a forget bias of −1, 0, 1 and 5, side by side."),
        "lstm_forget_0",
        lambda: footage.back(
            *(FORGET.replace(forget_bias=bias) for bias in (5.0, -1.0, 0.0, 1.0)), names=("5", "-1", "0", "1")
        ),
        page="compare",
        extra={"versus": "forget_bias:-1.0,1.0,5.0"},
    ),
    "series": _of_preset(
        N_("Chaos, foretold for a while"),
        N_("It hears half of a chaotic series and goes on alone: right at first, then less."),
        "mackey_glass",
        lambda: footage.forecast(PRESETS["mackey_glass"].experiment, 400),
        cost=1.7,
    ),
    "rotation": _of_preset(
        N_("500 steps, and it arrives"),
        N_("A rotation nearly keeps a gradient's length. Gaussian weights (dashed) lose 23 decades."),
        "orthogonal_long",
        lambda: footage.back(PRESETS["orthogonal_long"].experiment, PRESETS["gaussian_long"].experiment),
    ),
    "credit": _of_preset(
        N_("What does a loss feel?"),
        N_("Each row is a loss, its colours the past that it still feels, while it learns."),
        "mackey_glass",
        lambda: footage.credit(PRESETS["mackey_glass"].experiment, 100),
        page="why",
        panel="credit",
        cost=1.4,
    ),
    "text": _of_preset(
        N_("It begins to speak"),
        N_("800 steps of training, from noise to almost words, letter by letter."),
        "text",
        lambda: footage.speech(PRESETS["text"].experiment, 800, 96),
        cost=5.0,
    ),
}
FILMS = Films({name: (CARDS[name].needs, CARDS[name].film) for name in sorted(CARDS, key=lambda n: CARDS[n].cost)})
