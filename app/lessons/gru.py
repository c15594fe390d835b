"""Does a GRU's gradient arrive from the start, or does it learn to arrive?"""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import both, learns, within
from app.words import N_

LESSON = Lesson(
    label=N_("GRU: gates that learn to keep"),
    question=N_("Is it the gates that keep a gradient alive, or what they learn?"),
    opening=N_(
        "The adding task of lesson 1, with a GRU. It has two gates and no memory beside its state: one "
        "gate $z$ decides how much of the state stays, and how much is written anew."
    ),
    guess=Guess(
        N_("Nothing is trained yet. Does the gradient arrive, over 100 steps?"),
        (N_("Yes, the gates see to that"), N_("No, it vanishes, even more than in lesson 1"), N_("No, it explodes")),
        1,
        N_(
            "It loses 12.8 decades, where the plain network of lesson 1 lost 6.5. Untrained gates are half open, "
            "z = 0.50, and half of half of a half is soon nothing."
        ),
    ),
    experiment=engine.Experiment(cell="gru", init="orthogonal", gain=1.0),
    pictures=("flow", "loss"),
    controls=("cell", "lr", "gain", "optimizer"),
    tries=(
        N_(
            "Set the speed to max and press **Play**. After 400 steps the loss is on the line of guessing, at "
            "this rate."
        ),
        N_("But look at the first picture: the curve rises. The gates have begun to open, and the gradient to arrive."),
        N_("Change **Cell** to RNN and play again: there the curve falls. It has no gate that could learn to keep."),
    ),
    why=(
        N_("The new state is a mixture of the old one and a candidate $n_t$:"),
        Tex(
            r"h_t = z_t\odot h_{t-1} + (1-z_t)\odot n_t,\qquad n_t=\tanh\bigl(W x_t + r_t\odot(U "
            r"h_{t-1})\bigr)"
        ),
        N_("The way straight back is the gate itself. Where it is near 1, the gradient passes untouched:"),
        Tex(
            r"\frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(z_t) + \text{(what goes through } z_t,\ "
            r"r_t \text{ and } n_t)"
        ),
        N_(
            "As in the LSTM, that is a sum: a unit can learn to carry something, and its neighbour to change. "
            "The plain network has one matrix for both."
        ),
    ),
    source="Cho et al. 2014; Chung, Gulcehre, Cho & Bengio 2014. Article 003, §3.4; article 001, §6",
    task=N_(
        "Within 500 steps: a validation loss below half of guessing, and a gradient that arrives within a factor 100."
    ),
    reading=both(learns(0.5, steps=500), within(100)),
    hint=N_(
        "A **Learning rate** of 0.01: the loss falls through the line after some 220 steps, and the gradient arrives."
    ),
    solution={"lr": 0.01},
    solution_steps=400,
)
