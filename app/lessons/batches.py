"""What does a step cost, and what does it bring? The whole set, ten sequences, or one."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import learns
from app.words import N_

LESSON = Lesson(
    label=N_("Whole batch, mini-batch, single example"),
    question=N_("Is it better to make few good steps, or many poor ones?"),
    opening=N_(
        "A GRU learns to continue 100 short waves with plain gradient descent. A step can see all 100 of "
        "them, or ten, or just one. The more it sees, the better its gradient, and the dearer the step."
    ),
    guess=Guess(
        N_(
            "All three look at 2,000 waves: 20 steps with the whole set, 200 with ten, 2,000 with one. Which "
            "loss is the lowest then?"
        ),
        (N_("That of the whole set"), N_("That of ten at a time"), N_("That of one at a time")),
        2,
        N_(
            "One at a time: 0.011, against 0.031 with ten and 0.203 with the whole set. A poor gradient a "
            "hundred times is worth more than the exact one once."
        ),
    ),
    experiment=engine.Experiment(
        cell="gru",
        hidden_size=16,
        init="orthogonal",
        gain=1.0,
        task="sine",
        seq_length=20,
        train_size=100,
        batch_size=10,
        batching="full",
        optimizer="sgd",
        lr=0.1,
        clip="none",
    ),
    pictures=("loss", "task"),
    controls=("batching", "batch_size", "lr", "optimizer"),
    tries=(
        N_(
            "Press **Step** 20 times, or play to step 20: that is 2,000 waves, as it says beside the slider. "
            "The loss is 0.203."
        ),
        N_(
            "Set **Data per step** to one sequence and press **Play** at full speed. The thin line, one wave "
            "at a time, jumps; the thick one falls."
        ),
        N_("Set it to mini-batches and try a **Batch** of 50, 20 and 5, always up to 2,000 waves."),
    ),
    why=(
        N_(
            "The gradient of a batch is a mean over its sequences: the exact one, and noise that shrinks with "
            "the root of $B$."
        ),
        Tex(
            r"g_B = \frac1B\sum_{i\in B}\nabla L_i,\qquad \mathbb{E}\,g_B = \nabla L,\qquad "
            r"\mathbb{E}\,\|g_B-\nabla L\|^2 \approx \frac{\sigma^2}{B}"
        ),
        N_(
            "Four times the work halves the noise. Far from the valley the noise does not matter, and the "
            "number of steps does."
        ),
        N_("Near the valley it is the other way round: single examples keep jumping, unless the rate falls."),
        Tex(r"\theta_{k+1} = \theta_k - \eta\, g_B(\theta_k)"),
    ),
    source="Robbins & Monro 1951; Bottou 1998. Articles 000 (§3) and 004 (§3.3 and §6)",
    task=N_("Come below half of the loss of repeating the last value, having seen no more than 2,000 waves."),
    reading=learns(0.5, examples=2000),
    hint=N_("**Data per step**: mini-batches of 10 are enough; so is one sequence at a time."),
    solution={"batching": "mini"},
    solution_steps=200,
)
