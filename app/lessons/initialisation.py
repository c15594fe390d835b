"""Where should the weights begin? From N(0, 1) through orthogonal to the edge of chaos."""

import engine
from app.lessons.lesson import Guess, Lesson, Tex
from app.lessons.readings import within
from app.words import N_

LESSON = Lesson(
    label=N_("Initialisation, up to the edge of chaos"),
    question=N_("Where should the weights begin, before anything is learned?"),
    opening=N_(
        "128 tanh units hear very small inputs, so that the recurrent matrix is seen by itself. Its "
        "numbers are drawn from N(0, 1), as `numpy.random.randn` gives them and many a tutorial uses them."
    ),
    guess=Guess(
        N_("The matrix is 128 × 128. How large is its largest eigenvalue, ρ, about?"),
        (N_("1, like the standard deviation"), N_("11"), N_("128")),
        1,
        N_(
            "√128 = 11.3; this draw has 11.9. Each step stretches by as much, only saturation holds against "
            "it: the gradient gains 39.5 decades on its way back."
        ),
    ),
    experiment=engine.Experiment(
        task="delayed_recall",
        seq_length=100,
        hidden_size=128,
        batch_size=16,
        input_init="smart_tanh",
        init="standard_normal",
        gain=1.0,
    ),
    pictures=("flow", "state"),
    controls=("init", "gain", "seed"),
    tries=(
        N_(
            "Set **Weights** to normal, gain/√H, and drag **Gain** to 0.50: now 28.5 decades are lost, and all "
            "states fade."
        ),
        N_("Drag it to 2.00: 7.8 decades are gained, and the states never come to rest. That is chaos."),
        N_("Somewhere between lies the edge. Find it; then try another **Seed**, and see how far off it is."),
    ),
    why=(
        N_(
            "The eigenvalues of a random $H\\times H$ matrix with entries of variance $g^2/H$ fill a disc of "
            "radius $g$."
        ),
        N_("Theory for a wide network says by what $\\|\\delta\\|^2$ is multiplied at each step back:"),
        Tex(r"\chi = g^2\,\mathbb{E}\bigl[\varphi'(\sqrt{q}\,z)^2\bigr],\qquad z\sim N(0,1)"),
        N_(
            "Below χ = 1 the network forgets; above, it is chaotic and gradients explode. At χ = 1, the **edge "
            "of chaos**, they keep their size on average. The grey line in the picture is this theory."
        ),
        N_(
            "A random matrix reaches that on average only. An **orthogonal** one keeps the length of every "
            "single vector: with gain 1 the gradient here changes by 3% over 99 steps."
        ),
    ),
    source="Sompolinsky, Crisanti & Sommers 1988; Saxe, McClelland & Ganguli 2014; Poole et al. 2016; "
    "Schoenholz et al. 2017. "
    "Article 002, §4, draws from N(0, 1)",
    task=N_("Bring the gradient at t = 1 to between 1/10 and 10 times the one at t = 100."),
    reading=within(10),
    hint=N_("With **Weights** orthogonal a gain of 1 does it for any seed; with normal weights and this seed, 0.95."),
    solution={"init": "orthogonal", "gain": 1.0},
)
