"""What does the slope of the activation do to a gradient, a hundred times over? Saturation."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import within
from app.words import N_

LESSON = Lesson(
    label=N_("Activation and saturation"),
    question=N_("What does the slope of the activation do to a gradient, a hundred times over?"),
    opening=N_(
        "Here the recurrent weights are a rotation: they change no length at all. Whatever the gradient "
        "loses on its way back, the activation has taken. This one is the sigmoid, whose slope is at most "
        "¼."
    ),
    guess=Guess(
        N_("How many decades does the gradient lose over 99 steps back?"),
        (N_("About 6"), N_("About 20"), N_("About 60")),
        2,
        N_(
            "At least 59.6, because $\\log_{10} 4 = 0.602$ is lost 99 times; measured are 61.6. No learning "
            "rate can make up for that."
        ),
    ),
    experiment=engine.Experiment(nonlinearity="sigmoid", init="orthogonal", gain=1.0),
    pictures=("flow", "state"),
    controls=("nonlinearity", "gain", "init", "seed"),
    tries=(
        N_(
            "Set **Activation** to tanh: only 2.8 decades are lost. Its slope is 1 at 0, where most of these "
            "states are."
        ),
        N_("Try ReLU: 19.1 decades. Its slope is 1 or 0, and a closed unit lets nothing through."),
        N_(
            "Back to tanh, **Gain** 3.00. Now 54% of all states lie beyond ±0.9, in deep colours: there the "
            "slope is below 0.19. Yet the gradient gains 13.3 decades, because the weights stretch more than "
            "the slope shrinks."
        ),
    ),
    why=(
        N_("The slope can be read off the state itself, so it needs no memory of $z$:"),
        Tex(r"\tanh' = 1-h^2\le 1,\qquad \sigma' = h(1-h)\le\tfrac14,\qquad \mathrm{relu}'\in\{0,1\}"),
        N_(
            "A unit near the end of its range is **saturated**: its slope is near 0, it passes on no gradient, "
            "and it learns no more."
        ),
        Tex(r"\|\delta_{t-1}\| \le \sigma_{\max}(W_{hh})\cdot\max_i\varphi'(z_{t,i})\cdot\|\delta_t\|"),
        N_(
            "Weights and slope work against each other: larger weights stretch the gradient and push the units "
            "into saturation. Which of them wins is not seen from either alone."
        ),
    ),
    source="Hochreiter 1991; Glorot & Bengio 2010; Nair & Hinton 2010. Article 001, §3.1, has the tanh network",
    task=N_("Bring the gradient at t = 1 to between 1/10 and 10 times the one at t = 100."),
    reading=within(10),
    hint=N_(
        "tanh with a **Gain** of 1.2: the weights make up for what the slope takes. Softsign with 1.5 does it, too."
    ),
    solution={"nonlinearity": "tanh", "gain": 1.2},
)
