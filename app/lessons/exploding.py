"""What does one step do when the gradient is a billion times too long? It meets a wall in the error."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import survives
from app.words import N_

LESSON = Lesson(
    label=N_("Why gradients explode, and what a cliff is"),
    question=N_("What does one training step do when the gradient is a billion times too long?"),
    opening=N_(
        "The same task, with recurrent weights 2.5 times as large. Now every step back makes the gradient "
        "longer: at t = 1 it is $10^{9.9}$ times the one at t = 100. Nothing is clipped; plain SGD follows "
        "it with a rate of 0.01."
    ),
    guess=Guess(
        N_("You make a single training step. What happens?"),
        (
            N_("The loss falls a little, as it should"),
            N_("The loss jumps up, and the next steps bring it down"),
            N_("The loss falls, and no gradient is left"),
        ),
        2,
        N_(
            "The step is 54 million long. The loss even falls, from 0.99 to 0.50, and that is the end: every "
            "unit sits at −1 or 1, where tanh is flat, and before t = 100 the gradient is exactly 0."
        ),
    ),
    experiment=engine.Experiment(hidden_size=64, gain=2.5, optimizer="sgd", lr=0.01, clip="none"),
    pictures=("flow", "state"),
    controls=("gain", "init", "lr", "clip", "clip_threshold"),
    tries=(
        N_("Press **Step** once. The curve is gone, and every unit has one colour: saturated, for good."),
        N_(
            "Press **Reset**, set **Clip** to norm, and play 50 steps. The network lives; but the gradient "
            "still gains more than 8 decades, and the loss is several times that of guessing: a short step in a "
            "useless direction."
        ),
        N_("Open **Small worlds**: there the same thing happens to one unit, and the whole error surface can be seen."),
    ),
    why=(
        N_("It is the product of lesson 1, with factors above 1. For one unit it can be written down:"),
        Tex(
            r"x_t = w\,\sigma(x_{t-1}) + b,\qquad \frac{\partial x_T}{\partial x_0}=\prod_{t=1}^{T} "
            r"w\,\sigma'(x_{t-1})"
        ),
        N_(
            "Where that product explodes, the error has a wall. On one side of it the weights lead to one end "
            "state, on the other side to another; at the wall a tiny change of $w$ decides."
        ),
        N_(
            "The gradient points straight away from the wall, and its length is the wall's steepness. A step "
            "along it has nothing to do with how far the valley is: it throws the weights out of it."
        ),
    ),
    source="Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, §2.3 and figure 6. Article 002, §3.3",
    task=N_("Reach step 100 with a gradient at t = 1 between 1/100 and 100 times the last, and a loss near guessing."),
    reading=survives(100, factor=100, most=1.5),
    hint=N_(
        "Two things are needed. A gain of 1.2 lets the gradient keep its size; **Clip** at norm keeps the "
        "few steps that are still too long from throwing the weights away."
    ),
    solution={"gain": 1.2, "clip": "norm"},
    solution_steps=120,
)
