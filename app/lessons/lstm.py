"""How long does a forget gate keep? As long as its bias says."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import learns
from app.words import N_

LESSON = Lesson(
    label=N_("LSTM: the forget gate and its bias"),
    question=N_("An LSTM is made to remember. Does it, from the start?"),
    opening=N_(
        "The first of 50 inputs carries a class; noise follows, and at the end the class has to be said. "
        "An LSTM keeps its memory $c$ by multiplying it with the forget gate $f$ at each step. Its bias is "
        "0 here."
    ),
    guess=Guess(
        N_("With a bias of 0 the gate is half open, σ(0) = ½. What do 50 such steps leave of the memory?"),
        (N_("A half"), N_("A fiftieth"), N_("A millionth of a billionth")),
        2,
        N_(
            "½⁵⁰ is $10^{-15}$. The whole network, gates and weights together, does better than that, and still "
            "8.1 decades are lost. In 400 steps of training the loss does not leave 0.693, that of guessing."
        ),
    ),
    experiment=engine.Experiment(
        cell="lstm",
        hidden_size=16,
        init="orthogonal",
        gain=1.0,
        task="delayed_recall",
        seq_length=50,
        batch_size=16,
        lr=3e-3,
        forget_bias=0.0,
    ),
    pictures=("flow", "loss"),
    controls=("forget_bias", "init", "lr", "seq_length"),
    tries=(
        N_(
            "Drag **Forget bias** to −1: 15.8 decades are lost. The gate keeps σ(−1) = 0.27 of the memory at each step."
        ),
        N_("Drag it to 5, and the curve is level: σ(5) = 0.993 keeps for some 150 steps."),
        N_(
            "Go back to 0, press **Play**, and wait: the loss stays on the line. It cannot learn to keep "
            "what it never felt."
        ),
    ),
    why=(
        N_("The memory is carried by a sum, not through the weights and the activation. That is the whole idea:"),
        Tex(r"c_t = f_t\odot c_{t-1} + i_t\odot g_t,\qquad h_t = o_t\odot\tanh(c_t)"),
        N_("So along $c$ the gradient is multiplied by the gate alone:"),
        Tex(
            r"\frac{\partial c_t}{\partial c_{t-k}} \approx \prod_{j=0}^{k-1} f_{t-j},\qquad \tau = "
            r"\frac{-1}{\log f}"
        ),
        N_(
            "A gate of 0.73, a bias of 1, has a memory of τ = 3.2 steps; one of 0.993 has 149. Begin with what "
            "the task needs."
        ),
    ),
    source="Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015, §4. "
    "Article 003, §3.4",
    task=N_("Recall the first input: a validation loss below a fifth of guessing, within 400 steps."),
    reading=learns(0.2, steps=400),
    hint=N_("A **Forget bias** of 1 is enough here: the loss falls within 100 steps."),
    solution={"forget_bias": 1.0},
    solution_steps=150,
)
