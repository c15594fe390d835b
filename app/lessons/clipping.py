"""What does clipping change about a gradient beside its length? Norm, value, unit."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import learns
from app.words import N_

LESSON = Lesson(
    label=N_("What clipping does, and what it does not"),
    question=N_("Clipping makes a gradient shorter. What else does it change?"),
    opening=N_(
        "The network hears 50 symbols and has to say in which order two of them came. Without clipping most of "
        "its gradients are about 1 long, but now and then comes one several times as long. Clipping is to tame "
        "that one. There are several ways to do it."
    ),
    guess=Guess(
        N_(
            "This network has 1,412 weights, and its first gradient is 0.79 long. Unit clip makes each "
            "component ±1. How long is it then?"
        ),
        (N_("Still 0.79: it was short enough"), N_("Exactly 1"), N_("About 38")),
        2,
        N_(
            "√1412 = 37.6. It keeps the signs and loses all sizes: a short gradient becomes as long as an "
            "exploded one, and its direction turns, too (cosine 0.67)."
        ),
    ),
    experiment=engine.Experiment(
        task="temporal_order",
        seq_length=50,
        batch_size=16,
        init="orthogonal",
        gain=1.0,
        optimizer="sgd",
        lr=0.1,
        clip="unit",
        clip_threshold=1e-6,
    ),
    pictures=("clip", "loss"),
    controls=("clip", "clip_threshold", "lr"),
    tries=(
        N_(
            "Set the speed to max and press **Play**. With unit clip each step is as long as any other, and "
            "nothing settles."
        ),
        N_(
            "Set **Clip** to off and press **Reset**, then **Play**. The steep moments throw the weights back "
            "again and again: after 2,000 steps the loss is still that of guessing."
        ),
        N_(
            "Set **Clip** to value, 0.1. Each component is cut by itself. Long gradients turn towards a "
            "diagonal, and the order is not learned."
        ),
    ),
    why=(
        N_("**By norm** all components shrink together. The direction stays, the size is lost:"),
        Tex(r"g \leftarrow g\cdot\min\Bigl(1,\ \frac{c}{\|g\|}\Bigr)"),
        N_("**By value** each is cut by itself, so that the direction turns; **unit** keeps no size at all:"),
        Tex(r"g_i \leftarrow \min(\max(g_i,-c),\,c),\qquad g_i \leftarrow \frac{g_i}{\max(|g_i|,\varepsilon)}"),
        N_(
            "None of them mends a gradient: one that has exploded points anywhere, and one that has vanished "
            "stays so. Clipping only limits what a single bad step can do. Where most steps are good, that is "
            "enough."
        ),
    ),
    source="Pascanu, Mikolov & Bengio 2013, algorithm 1 and §5; Mikolov 2012. Unit clip is the "
    "formula of article 003, §3.3",
    task=N_("Learn the order: a validation loss below 0.7 of guessing, within 1,500 steps."),
    reading=learns(0.7, steps=1500),
    hint=N_("The direction has to stay: set **Clip** to norm, at 1. The order is learned after some 400 steps."),
    solution={"clip": "norm", "clip_threshold": 1.0},
    solution_steps=600,
)
