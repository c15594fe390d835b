"""The classic experiments on vanishing and exploding gradients."""

from engine.experiment import Experiment
from engine.presets.preset import Preset

GROUP = "Classics"
DEFAULT = Experiment()

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
    "healthy": Preset(
        "orthogonal GRU, adding",
        "Press Play: the gradient arrives, and after some 200 steps the loss falls through the line of guessing.",
        "Cho et al. 2014; Saxe, McClelland & Ganguli 2014",
        GROUP,
        Experiment(cell="gru", init="orthogonal", gain=1.0, lr=0.01),
        "learns",
        500,
        0.02,
    ),
}
