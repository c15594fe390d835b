"""How much of the error at the end reaches the beginning? A product of a hundred factors."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import slower_than
from app.words import N_

LESSON = Lesson(
    label=N_("Why gradients vanish"),
    question=N_("A network hears its error at the end. How much of that news reaches the beginning?"),
    opening=N_(
        "A plain tanh network hears 100 pairs of numbers; at the end it has to add the two that were "
        "marked. Its error is known at t = 100. To learn from t = 1, the gradient has to walk back through "
        "every step in between."
    ),
    guess=Guess(
        N_("The gradient at t = 100 has some length. What is left of it at t = 1?"),
        (N_("About all of it"), N_("About a hundredth"), N_("Less than a millionth")),
        2,
        N_("Measured: $10^{-6.5}$ of it, less than a millionth. On most of its way it halves every 3.8 steps."),
    ),
    experiment=engine.Experiment(),
    pictures=("flow", "loss"),
    controls=("init", "gain", "nonlinearity", "seed"),
    tries=(
        N_(
            "Read the first picture from right to left. Each step back multiplies the gradient by about 0.83: "
            "on a logarithmic axis a constant factor is a straight line."
        ),
        N_(
            "Drag **Gain** to 0.50. The half-life falls to 1.3 steps: every step back goes through the weights "
            "$W_{hh}$."
        ),
        N_(
            "Put the gain back and press **Play** for 200 steps. The loss settles on the black line of "
            "guessing, and the gradient now loses 15.9 decades: training has made it worse."
        ),
    ),
    why=(
        N_("One step back is a product: the slope of the activation, then the recurrent weights, transposed."),
        Tex(
            r"\delta_{t-1} = W_{hh}^{\top}\bigl(\varphi'(z_t)\odot\delta_t\bigr),\qquad "
            r"\delta_t=\frac{\partial L}{\partial h_t}"
        ),
        N_("After $k$ steps there are $k$ such products. A factor of 0.83 each makes $10^{-8}$ of 99 steps."),
        Tex(r"\|\delta_{t-k}\| \le \bigl(\sigma_{\max}(W_{hh})\cdot\max|\varphi'|\bigr)^{k}\,\|\delta_t\|"),
        N_(
            "The slope of tanh is at most 1. So where the largest singular value of $W_{hh}$ is below 1, the "
            "network must forget. Above 1 it may explode, keep, or vanish all the same, as this one does."
        ),
    ),
    source="Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, §2.1. "
    "Article 003, §2; article 002, §3.3",
    task=N_("Bring the half-life above 50 steps."),
    reading=slower_than(50),
    hint=N_(
        "A rotation shortens nothing: set **Weights** to orthogonal. What is lost then, the slope of tanh "
        "loses; a gain of 1.2 makes up for it."
    ),
    solution={"init": "orthogonal", "gain": 1.2},
)
