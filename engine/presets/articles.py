"""The programs and methods of the five articles from which the explorer started.

What a printed program leaves open, or what keeps it from running, is filled in, and `source` says how. Three
things differ everywhere: the head is drawn as torch.nn.Linear draws it, Keras' initial weights are not Keras' own draw,
and Adam's ε is PyTorch's 1e-8, not Keras' 1e-7.
"""

from engine.experiment import Experiment
from engine.presets.preset import Preset

GROUP = "Articles"
KERAS = {"init": "keras", "gain": 1.0, "input_init": "keras", "forget_bias": 1.0, "clip": "none"}

RNN_000 = Experiment(
    hidden_size=64, num_layers=2, task="random_features", seq_length=20, train_size=500, batch_size=32,
    optimizer="sgd", lr=0.01, stop_steps=160, **KERAS,
)  # fmt: skip
RNN_001 = Experiment(
    hidden_size=64, init="pytorch", gain=1.0, task="text", seq_length=30, batch_size=16, clip="none", stop_steps=1000
)
# The article's loss is the sum over 20 steps, the explorer's their mean: its rate of 0.001 is 20 · 0.001 here.
RNN_002 = Experiment(
    hidden_size=100, embedding_dim=50, init="standard_normal", gain=1.0, input_init="standard_normal", task="markov",
    seq_length=20, batching="single", optimizer="sgd", lr=0.02, clip="none", stop_steps=500,
)  # fmt: skip
LSTM_003 = Experiment(
    cell="lstm", hidden_size=50, num_layers=2, task="random_series", seq_length=10, train_size=100, batch_size=10,
    optimizer="adam", lr=0.01, stop_steps=1000, seed=2, **KERAS,
)  # fmt: skip
LSTM_004 = Experiment(
    cell="lstm", hidden_size=10, task="random_vectors", seq_length=10, train_size=100, batch_size=32,
    optimizer="sgd", lr=0.01, **KERAS,
)  # fmt: skip

PROGRAM_000 = "article 000, section 4: it comes without data; here 500 random series of 20 steps"
FORMULAS_001 = "article 001, the network of section 3.1 (its program hands on the softmax as the state); here on a text"
PROGRAM_002 = "article 002, section 4, with the softmax that its loss needs; it comes without data; here a Markov chain"
PROGRAM_003 = "article 003, section 4"
PROGRAM_004 = "article 004, section 4, with the third axis that Keras asks of x_train, and with an output layer"

ARTICLES: dict[str, Preset] = {
    "a000_stacked_rnn": Preset(
        "000: two stacked RNNs",
        "Press Play: the targets are random, so in ten epochs both losses come down to about the line of guessing the "
        "mean, and no further.",
        PROGRAM_000,
        GROUP,
        RNN_000,
        "stuck",
        160,
    ),
    "a001_gradient_descent": Preset(
        "001: gradient descent",
        "A small gradient makes a small step: with a rate of 0.3 the loss falls almost as it does under Adam with "
        "0.001, and with 0.001 it would hardly move.",
        FORMULAS_001,
        GROUP,
        RNN_001.replace(optimizer="sgd", lr=0.3),
        "learns",
        1000,
        2.4,
    ),
    "a001_dynamic": Preset(
        "001: dynamic learning rate",
        "Each weight's step is divided by the recent size of its gradient. What is lost on the way back through time "
        "stays lost: picture 1 falls by decades, as with gradient descent.",
        f"{FORMULAS_001}; its formula has no η: a rate of 1, with which the loss jumps",
        GROUP,
        RNN_001.replace(optimizer="dynamic", lr=1e-3),
        "learns",
        1000,
        2.4,
    ),
    "a001_adam": Preset(
        "001: Adam",
        "Adam makes full steps of small gradients, but does not bring them further back: picture 1 falls by decades, "
        "as with gradient descent.",
        f"{FORMULAS_001}; the rate is that of its program, tf.keras.optimizers.Adam()",
        GROUP,
        RNN_001.replace(optimizer="adam", lr=1e-3),
        "learns",
        1000,
        2.4,
    ),
    "a001_adam_as_printed": Preset(
        "001: Adam as printed",
        "The formula leaves out the bias correction: its first steps are 3 to 7 times as long, and here that helps.",
        f"{FORMULAS_001}; its formula has no η: here 0.001; Kingma & Ba 2015 add the corrections in section 3",
        GROUP,
        RNN_001.replace(optimizer="adam_uncorrected", lr=1e-3, stop_steps=500),
        "learns",
        500,
        2.4,
    ),
    "a002_language_model": Preset(
        "002: language model",
        "Weights from N(0, 1): in 20 steps back the gradient grows about a million times. Press Play: its first update "
        "throws the weights so far that from then on it vanishes.",
        PROGRAM_002,
        GROUP,
        RNN_002,
        "explodes",
        0,
    ),
    "a002_as_printed": Preset(
        "002: as printed",
        "The printed program has no path back through h: each loss ends at its own step. It learns all the same, as "
        "this chain needs no memory; set Truncate after to full to see the whole gradient.",
        f"{PROGRAM_002}; each step's gradient stays at its step. Printed, two products do not fit in shape, and "
        "W_hh is given the state before the sequence at every step",
        GROUP,
        RNN_002.replace(tbptt=1),
        "learns",
        500,
        2.0,
    ),
    "a002_clipped": Preset(
        "002: clipped",
        "The article's remedy: clipped to length 1, the gradient no longer throws the weights away. Its direction is "
        "still that of the explosion, and the loss stays where it began.",
        f"{PROGRAM_002}; clipping as in section 3.3",
        GROUP,
        RNN_002.replace(clip="norm"),
        "stuck",
        500,
    ),
    "a002_scaled": Preset(
        "002: scaled weights",
        "The same network with weights divided by the root of the number of their inputs: nothing explodes, and the "
        "loss comes near the best possible.",
        f"{PROGRAM_002}; weights as in LeCun et al. 1998, section 4.6",
        GROUP,
        RNN_002.replace(init="lecun_normal", input_init="lecun_normal"),
        "learns",
        500,
        1.7,
    ),
    "a003_lstm": Preset(
        "003: two stacked LSTMs",
        "Random targets can only be learned by heart: towards the 100th epoch the training loss leaves the line "
        "downwards, and the validation loss upwards.",
        PROGRAM_003,
        GROUP,
        LSTM_003,
        "overfits",
        1000,
        0.076,
    ),
    "a003_by_heart": Preset(
        "003: overfitting",
        "The same program for 200 epochs: the training loss falls towards 0, and on new series it becomes nearly twice "
        "that of guessing the mean.",
        f"{PROGRAM_003}; overfitting is in section 5",
        GROUP,
        LSTM_003.replace(stop_steps=2000),
        "overfits",
        2000,
        0.01,
    ),
    "a003_l2": Preset(
        "003: with L2",
        "With this seed a weight decay of 0.0001 makes learning by heart too dear: after 200 epochs there is hardly a "
        "gap between training and validation.",
        f"{PROGRAM_003}; regularisation is in section 5",
        GROUP,
        LSTM_003.replace(stop_steps=2000, weight_decay=1e-4),
        "stuck",
        2000,
    ),
    "a003_dropout": Preset(
        "003: with dropout",
        "Half of the units between the layers are dropped at every step: the gap opens later, but it opens.",
        f"{PROGRAM_003}; regularisation is in section 5",
        GROUP,
        LSTM_003.replace(stop_steps=2000, dropout=0.5),
        "overfits",
        2000,
        0.05,
    ),
    "a003_early_stop": Preset(
        "003: early stopping",
        "Training ends after 20 epochs without a better validation loss, here before anything is learned by heart. "
        "With other seeds it may end late, or not at all.",
        f"{PROGRAM_003}; overfitting is in section 5",
        GROUP,
        LSTM_003.replace(patience=200),
        "stuck",
        221,
    ),
    "a003_unit_clip": Preset(
        "003: unit clip",
        "Picture 3: the formula bounds each component by 1, and makes small ones larger; every gradient leaves the "
        "clip longer than it came.",
        f"{PROGRAM_003}, 50 epochs; the clip is in section 3.3",
        GROUP,
        LSTM_003.replace(clip="unit", clip_threshold=0.01, stop_steps=500),
        "stuck",
        500,
    ),
    "a003_exponential": Preset(
        "003: exponential decay",
        "The learning rate falls to a hundredth in 100 epochs: the steps become too small to learn by heart.",
        f"{PROGRAM_003}; decay is in section 6",
        GROUP,
        LSTM_003.replace(schedule="exponential", schedule_steps=1000, schedule_factor=0.01),
        "stuck",
        1000,
    ),
    "a003_linear": Preset(
        "003: linear decay",
        "The learning rate falls in a straight line to a hundredth in 100 epochs: large for longer than with "
        "exponential decay, and the training loss ends a little lower.",
        f"{PROGRAM_003}; decay is in section 6",
        GROUP,
        LSTM_003.replace(schedule="linear", schedule_steps=1000, schedule_factor=0.01),
        "stuck",
        1000,
    ),
    "a004_full": Preset(
        "004: full batch",
        "100 epochs are 100 updates, and the loss is not yet half-way down to the line. An update from all 100 series "
        "brings it no further than one from a single series.",
        PROGRAM_004,
        GROUP,
        LSTM_004.replace(batching="full", stop_steps=100),
        "stuck",
        100,
    ),
    "a004_mini": Preset(
        "004: mini-batch",
        "This is what the printed program runs: without a batch_size, fit takes 32 series, four updates an epoch. "
        "The loss comes to 0.1, still above the line of guessing the mean.",
        f"{PROGRAM_004}; it calls itself batch gradient descent",
        GROUP,
        LSTM_004.replace(stop_steps=400),
        "stuck",
        400,
    ),
    "a004_single": Preset(
        "004: single example",
        "100 updates an epoch: after four epochs the loss is at 0.1, for which the full batch needs 400. Then it stays "
        "near the line of guessing the mean.",
        f"{PROGRAM_004}; the stochastic gradient descent of section 3.3",
        GROUP,
        LSTM_004.replace(batching="single", stop_steps=10_000),
        "stuck",
        10_000,
    ),
    "a004_momentum": Preset(
        "004: momentum",
        "Gradients that agree add up: the loss comes down in less than a sixth of the updates that it takes without.",
        f"{PROGRAM_004}; momentum is in section 5",
        GROUP,
        LSTM_004.replace(optimizer="momentum", stop_steps=400),
        "stuck",
        400,
    ),
    "a004_until_low": Preset(
        "004: until low enough",
        "Training ends by itself when the loss is 0.09, and has learned nothing: guessing the mean gives 0.083. What "
        "is low enough is read against a line.",
        f"{PROGRAM_004}; the stop rule of section 3.2",
        GROUP,
        LSTM_004.replace(batching="full", stop_loss=0.09),
        "stuck",
        589,
    ),
}
