"""Capstone: make the copy task learn at T = 100, with all that the lessons before have shown."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import learns
from app.words import N_

LESSON = Lesson(
    label=N_("Capstone: copy ten symbols over 100 steps"),
    question=N_("Ten symbols, 100 steps of silence, then repeat them. Can you make it learn?"),
    opening=N_(
        "This is the hardest of the classic tasks. Whoever knows the blanks and guesses the symbols has a "
        "loss of 0.173, the black line. This LSTM has 64 units, a forget bias of 1, and Adam with a rate "
        "of 0.01."
    ),
    guess=Guess(
        N_("Where will its loss be after 600 steps?"),
        (N_("Near 0: it copies"), N_("Half way down"), N_("On the line of guessing")),
        2,
        N_("On the line: 0.175. The blanks were learned at once, and of the symbols nothing is kept."),
    ),
    experiment=engine.Experiment(
        cell="lstm",
        hidden_size=64,
        init="xavier_uniform",
        gain=1.0,
        task="copy_memory",
        seq_length=100,
        batch_size=16,
        lr=0.01,
    ),
    pictures=("flow", "loss"),
    controls=(),
    tries=(
        N_(
            "All controls are yours. Look at the first picture before you train: does the gradient reach the "
            "symbols at t = 1 … 10?"
        ),
        N_(
            "A gradient that arrives at the start is not enough: it has to stay while it trains. Play a "
            "little, and look again."
        ),
        N_(
            "What the task needs is known: something has to be kept for 110 steps. Which part of a cell says "
            "how long it keeps?"
        ),
    ),
    why=(
        N_("The best answer without memory gets the blanks right and guesses ten symbols of eight kinds:"),
        Tex(r"L_0 = \frac{10\,\ln 8}{T+20} = 0.173"),
        N_(
            "To come below it, a unit has to keep something for $T$ steps. So let each gate begin with a time "
            "of its own:"
        ),
        Tex(r"b_f \sim \log U(1,\,T-1)\quad\Rightarrow\quad \tau \approx \frac{1}{1-\sigma(b_f)} \sim U(2,\,T)"),
        N_(
            "That is the **chrono** initialisation: the network begins with memories of all lengths, and "
            "training has to choose."
        ),
    ),
    source="Hochreiter & Schmidhuber 1997; Arjovsky, Shah & Bengio 2016, §5.1; Tallec & Ollivier 2018, §2 and §4",
    task=N_("Bring the validation loss below 0.8 times guessing, within 2,000 steps."),
    reading=learns(0.8, steps=2000),
    hint=N_(
        "**Cell** GRU, **Weights** chrono, and a **Learning rate** of 0.03: after some 750 steps the loss "
        "is low enough. Set the speed to max."
    ),
    solution={"cell": "gru", "init": "chrono", "lr": 0.03},
    solution_steps=1000,
)
