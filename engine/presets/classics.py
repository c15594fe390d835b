"""The classic experiments on vanishing and exploding gradients: small enough to show what they show within a minute.

Lengths, widths and optimizers are not always those of the papers, which trained for days. All else that is said was
measured (tests/test_presets.py), and with other seeds, too: pascanu_omega learned with five of six, the others with all
that were tried.
"""

from engine.experiment import Experiment
from engine.presets.preset import Preset

GROUP = "Classics"
DEFAULT = Experiment()

# Pascanu et al. 2013, section 5: SGD, and for Ω their own start. At rate 0.1 a single long gradient does harm.
ORDER = Experiment(
    task="temporal_order", seq_length=50, batch_size=16, init="orthogonal", gain=1.0, optimizer="sgd", lr=0.1
)
RECALL = Experiment(
    cell="lstm", hidden_size=16, init="orthogonal", gain=1.0, task="delayed_recall", seq_length=50, batch_size=16,
    lr=3e-3,
)  # fmt: skip
# Inputs so small that tanh stays in its linear part: what the matrix does to the gradient is seen by itself.
LONG = Experiment(
    init="orthogonal", gain=1.0, input_init="smart_tanh", task="delayed_recall", seq_length=500, batch_size=16, lr=3e-4
)
LSTM_ADDING = Experiment(cell="lstm", init="xavier_uniform", gain=1.0, seq_length=200, batch_size=16, lr=0.01)
LSTM_COPY = Experiment(
    cell="lstm", hidden_size=64, init="xavier_uniform", gain=1.0, task="copy_memory", batch_size=16, lr=0.01
)
SINE = Experiment(
    cell="gru", init="orthogonal", gain=1.0, task="sine", seq_length=50, batch_size=16, optimizer="sgd", lr=0.3
)


def _forget_bias(bias: float, meaning: str, claim: str) -> Preset:
    """One of four LSTMs that differ in the bias of the forget gate alone."""
    return Preset(
        f"LSTM, forget bias {bias:g}".replace("-", "−"),
        meaning,
        "Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015, section 4",
        GROUP,
        RECALL.replace(forget_bias=bias),
        claim,
        800,
        0.01 if claim == "learns" else None,
    )


CLASSICS: dict[str, Preset] = {
    "vanishing": Preset(
        "tanh RNN, adding",
        "Press Play: the gradient loses decades on its way back, and the loss settles on the line of guessing.",
        "Hochreiter 1991; Bengio, Simard & Frasconi 1994",
        GROUP,
        DEFAULT,
        "vanishes",
        0,
    ),
    "pytorch_default": Preset(
        "PyTorch's own weights",
        "The default of torch.nn.RNN vanishes by construction: ρ(W_hh) tends to 1/√3 ≈ 0.58, and in 100 steps the "
        "gradient loses 20 decades.",
        "torch.nn.RNN, reset_parameters",
        GROUP,
        Experiment(init="pytorch", gain=1.0),
        "vanishes",
        0,
    ),
    "sigmoid_vanishing": Preset(
        "sigmoid RNN",
        "The slope of the sigmoid is at most ¼: even with orthogonal weights each step back shortens the gradient to a "
        "quarter or less.",
        "Hochreiter 1991; Glorot & Bengio 2010",
        GROUP,
        Experiment(nonlinearity="sigmoid", init="orthogonal", gain=1.0),
        "vanishes",
        0,
    ),
    "keras_gates": Preset(
        "Keras' LSTM gates",
        "One orthogonal draw over all four gates leaves each gate with ρ near ½, and the gradient vanishes. "
        "Choose Weights “orthogonal”, a draw for each gate: it arrives.",
        "keras.layers.LSTM, recurrent_initializer",
        GROUP,
        Experiment(cell="lstm", init="keras", gain=1.0, input_init="keras"),
        "vanishes",
        0,
    ),
    "healthy": Preset(
        "orthogonal GRU, adding",
        "Press Play: the gradient vanishes here, too, until the gates learn to keep; after some 200 steps it arrives, "
        "and the loss falls through the line of guessing.",
        "Cho et al. 2014; Saxe, McClelland & Ganguli 2014",
        GROUP,
        Experiment(cell="gru", init="orthogonal", gain=1.0, lr=0.01),
        "learns",
        500,
        0.02,
    ),
    "n01_exploding": Preset(
        "weights from N(0, 1)",
        "ρ(W_hh) is near √32: the gradient gains 19 decades on its way back. Clipping makes it short, but not useful: "
        "press Play, and the loss stays far above the line of guessing.",
        "Bengio, Simard & Frasconi 1994; numpy.random.randn, in many a tutorial",
        GROUP,
        Experiment(init="standard_normal", gain=1.0, input_init="standard_normal"),
        "explodes",
        0,
    ),
    "chaos": Preset(
        "chaos at gain 2",
        "With twice the critical gain the states are chaotic, and the gradient gains 7 or 8 decades on its way back. "
        "Set the gain to 1, the edge of chaos: it stays level.",
        "Sompolinsky, Crisanti & Sommers 1988; Poole et al. 2016",
        GROUP,
        RECALL.replace(
            cell="rnn", hidden_size=128, init="normal", gain=2.0, input_init="smart_tanh", seq_length=100, lr=1e-3
        ),
        "explodes",
        0,
    ),
    "relu_diverges": Preset(
        "ReLU RNN without clip",
        "The identity hands back the whole gradient, a thousand times too long for SGD: press Play, and after one or "
        "two steps the numbers are infinite. With Clip at norm it goes on.",
        "Le, Jaitly & Hinton 2015; Pascanu, Mikolov & Bengio 2013",
        GROUP,
        Experiment(
            nonlinearity="relu", init="identity", gain=1.0, input_init="normal", optimizer="sgd", lr=0.01, clip="none"
        ),
        "diverges",
        5,
    ),
    "irnn_adding": Preset(
        "IRNN, adding",
        "A ReLU RNN that begins as the identity: its gradient is level from the first step on, and the loss falls "
        "through the line. When it jumps, look at the norm before clipping.",
        "Le, Jaitly & Hinton 2015, section 4.1",
        GROUP,
        Experiment(nonlinearity="relu", init="identity", gain=1.0, input_init="normal", lr=3e-3),
        "learns",
        2000,
        0.05,
    ),
    "orthogonal_long": Preset(
        "orthogonal, 500 steps",
        "A rotation keeps every direction: after 500 steps back the gradient is as long as before, and the first input "
        "is recalled.",
        "Saxe, McClelland & Ganguli 2014, section 4; Henaff, Szlam & LeCun 2016",
        GROUP,
        LONG,
        "learns",
        800,
        0.3,
    ),
    "gaussian_long": Preset(
        "Gaussian, 500 steps",
        "The same network with Gaussian weights leaves it to chance: with this seed the gradient loses 23 decades in "
        "500 steps, with others 6, 45 or none. A rotation loses none with any.",
        "Saxe, McClelland & Ganguli 2014, section 4",
        GROUP,
        LONG.replace(init="normal"),
        "vanishes",
        0,
    ),
    "pascanu_order_unclipped": Preset(
        "temporal order, no clip",
        "Look at the gradient's norm: mostly about 1, at times above 10. Each of those throws the weights away, and "
        "the loss stays near the line of guessing.",
        "Pascanu, Mikolov & Bengio 2013, section 5; here with orthogonal weights",
        GROUP,
        ORDER.replace(clip="none"),
        "stuck",
        3000,
    ),
    "pascanu_order_clipped": Preset(
        "temporal order, clipped",
        "The same run with its gradient clipped to length 1: no step goes far, and the order is learned, "
        "the first time within some 1000 steps.",
        "Pascanu, Mikolov & Bengio 2013, algorithm 1 and section 5; here with orthogonal weights",
        GROUP,
        ORDER,
        "learns",
        3000,
        0.2,
    ),
    "pascanu_omega": Preset(
        "temporal order with Ω",
        "Here clipping is not enough: with Ω at 0 the loss stays on the line. Ω asks that the gradient keeps its "
        "length from step to step, and the order is learned.",
        "Pascanu, Mikolov & Bengio 2013, section 3.3, SGD-CR",
        GROUP,
        ORDER.replace(init="smart_tanh", input_init="smart_tanh", omega=2.0, seed=1),
        "learns",
        4000,
        0.4,
    ),
    "lstm_forget_m1": _forget_bias(
        -1.0, "A forget gate of σ(−1) = 0.27 loses 16 decades in 50 steps: the first input is never recalled.", "stuck"
    ),
    "lstm_forget_0": _forget_bias(
        0.0,
        "The plain start: σ(0) = ½ of the memory is kept at each step, the gradient vanishes, and nothing is learned.",
        "stuck",
    ),
    "lstm_forget_1": _forget_bias(
        1.0, "A bias of 1 is enough here: most of the gradient arrives, and the loss falls within 200 steps.", "learns"
    ),
    "lstm_forget_5": _forget_bias(
        5.0,
        "σ(5) = 0.993: the memory is kept for some 150 steps, the gradient arrives, and learning is easy.",
        "learns",
    ),
    "lstm_adding_b1": Preset(
        "LSTM, 200 steps",
        "A forget bias of 1 is not enough for 200 steps: the gradient vanishes, and the loss stays on the line of "
        "guessing.",
        "Tallec & Ollivier 2018, section 4",
        GROUP,
        LSTM_ADDING,
        "stuck",
        1000,
    ),
    "chrono_adding": Preset(
        "chrono LSTM, 200 steps",
        "The same LSTM with gates that keep for 1 to 200 steps, each unit for a time of its own: the gradient arrives, "
        "and the loss falls after some 500 steps.",
        "Tallec & Ollivier 2018, section 4",
        GROUP,
        LSTM_ADDING.replace(init="chrono"),
        "learns",
        1000,
        0.03,
    ),
    "lstm_copy_b1": Preset(
        "LSTM, copy memory",
        "The blanks are learned at once. Of the ten symbols nothing is remembered, and the loss stays on the line.",
        "Arjovsky, Shah & Bengio 2016, section 5.1",
        GROUP,
        LSTM_COPY,
        "stuck",
        1000,
    ),
    "chrono_copy": Preset(
        "chrono GRU, copy memory",
        "Gates that keep for 1 to 120 steps: the gradient arrives, and after some 500 steps the loss slowly leaves the "
        "line. Set Weights to Xavier uniform: it begins by losing 15 decades.",
        "Tallec & Ollivier 2018, section 4",
        GROUP,
        LSTM_COPY.replace(cell="gru", init="chrono"),
        "learns",
        2000,
        0.14,
    ),
    "norm_clip": Preset(
        "clip by norm, sine",
        "A gradient longer than 1 is shortened, all others stay as they are: steps grow small where the loss is low, "
        "and the wave is learned even at a rate of 0.3.",
        "Pascanu, Mikolov & Bengio 2013, algorithm 1",
        GROUP,
        SINE,
        "learns",
        1000,
        0.04,
    ),
    "unit_clip": Preset(
        "unit clip, sine",
        "The same run with unit clip: each component becomes ±1, however small, and the weights never come to rest. "
        "At a rate of 0.01 it learns.",
        "g/max(|g|, ε); Riedmiller & Braun 1993 use the sign alone, too, with rates that adapt",
        GROUP,
        SINE.replace(clip="unit", clip_threshold=1e-6),
        "stuck",
        1000,
    ),
    "text": Preset(
        "a book, letter by letter",
        "Within 1000 steps the loss falls below that of knowing the last letter alone, and what the network "
        "continues begins to have words.",
        "Elman 1990; Sutskever, Martens & Hinton 2011",
        GROUP,
        Experiment(
            cell="gru", hidden_size=64, init="orthogonal", gain=1.0, task="text", seq_length=50, batch_size=16, lr=0.01
        ),
        "learns",
        1000,
        2.1,
    ),
    "mackey_glass": Preset(
        "chaotic forecast",
        "Repeating the last value is a good guess, and the line to beat: after 500 steps the error is a fifth of it.",
        "Mackey & Glass 1977; Jaeger & Haas 2004",
        GROUP,
        Experiment(cell="gru", init="orthogonal", gain=1.0, task="mackey_glass", batch_size=16, lr=0.01),
        "learns",
        1000,
        2e-4,
    ),
}
