"""Can one see from the loss that a gradient has vanished? Not when the optimizer hides it."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import learns
from app.words import N_

LESSON = Lesson(
    label=N_("Optimizers that hide vanishing"),
    question=N_("If a gradient vanishes, do the steps get shorter, too?"),
    opening=N_(
        "A plain network has to recall its first input after 40 steps of noise. The gradient there is "
        "$10^{-8.1}$ of the one at the end. SGD follows it with a rate of 0.1."
    ),
    guess=Guess(
        N_("A weight has a gradient of 0.000001. With a rate of 0.01, how far does the first step of Adam move it?"),
        ("$10^{-8}$", "$10^{-6}$", "$10^{-2}$"),
        2,
        N_(
            "0.0099, the rate itself, almost. SGD would move it by $10^{-8}$. Adam divides each gradient by "
            "its own size, so that a step is about as long as the rate, however little arrives."
        ),
    ),
    experiment=engine.Experiment(
        init="pytorch", gain=1.0, task="delayed_recall", seq_length=40, batch_size=16, optimizer="sgd", lr=0.1
    ),
    pictures=("flow", "loss"),
    controls=("optimizer", "lr", "seq_length", "seed"),
    tries=(
        N_("Press **Play** at full speed. SGD makes 600 steps, and the loss stays at 0.693, that of guessing."),
        N_("Set **Optimizer** to Adam, **Learning rate** to 0.01. After 70 steps the input is recalled."),
        N_(
            "Now look at the first picture: the gradient has not come back. At step 600 it even loses 77 "
            "decades. The loss looks healthy, and hides it."
        ),
    ),
    why=(
        N_("Adam steps along the mean gradient over the root of its mean square:"),
        Tex(
            r"\Delta\theta = -\eta\,\frac{\hat m}{\sqrt{\hat v}+\varepsilon},\qquad \text{at the first step: "
            r"} -\eta\,\frac{g}{|g|+\varepsilon}"
        ),
        N_(
            "The size of $g$ cancels, until it comes near ε, which is $10^{-8}$. Its direction does not get any better."
        ),
        N_(
            "So the weights move, with signal or without: here they soon find a state that keeps the input; in "
            "lesson 1, under Adam too, they did not. Do not judge a gradient by the loss, or by the length of "
            "steps: look at it."
        ),
    ),
    source="Tieleman & Hinton 2012; Kingma & Ba 2015, algorithm 1. Articles 001 (§3.2) and 003 (§3.2)",
    task=N_("Recall the first input: a validation loss below half of guessing, within 600 steps."),
    reading=learns(0.5, steps=600),
    hint=N_("Adam with a **Learning rate** of 0.01 does it in under 100 steps, although hardly any gradient arrives."),
    solution={"optimizer": "adam", "lr": 0.01},
    solution_steps=200,
)
