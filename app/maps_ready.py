"""Ready maps: one row each, with the experiment it stands on, what it shows, and one sentence on what to see in it.

Numbers in a sentence are held by tests/test_maps.py. Labels and sentences are message ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import engine
from app import settings
from app.maps import Axis, Choice
from app.words import N_

RECALL = {"task": "delayed_recall", "optimizer": "adam", "lr": 0.003}  # one bit from the first step to the last
NAMES = ("pytorch", "keras", "orthogonal", "normal", "identity", "xavier_uniform", "kaiming_normal", "standard_normal")
POWERS = Axis("seq_length", 10, 160, 9, True)
RATES, THRESHOLDS = Axis("lr", 0.01, 10.0, 13, True), Axis("clip_threshold", 1e-3, 100.0, 11, True)

MORE = N_("More")


@dataclass(frozen=True)
class Ready:
    """`values`: the fields that differ from the default; `see`: what to see; `source`: where it comes from; `asks`: the
    question that it stands under."""

    label: str
    see: str
    source: str
    values: Mapping[str, Any]
    choice: Choice
    asks: str = N_("Where does it train?")

    @property
    def experiment(self) -> engine.Experiment:
        return engine.Experiment(**self.values)

    @property
    def controls(self) -> dict[str, Any]:
        """The values of all controls."""
        return {**settings.DEFAULTS, **self.values}


MAPS: dict[str, Ready] = {
    "gain": Ready(
        N_("Gain × length"),
        N_("The longer one bit has to be carried, the nearer to 1 the gain has to be: 0.4 does not reach 28 steps, 0.6 "
           "does not reach 80, and 1 carries it over 80. Below, the gradient dies on the way back, and training stays "
           "at guessing."),
        "Schoenholz et al. 2017; Chen, Pennington & Schoenholz 2018",
        {**RECALL, "init": "normal", "gain": 1.0},
        Choice(Axis("gain", 0.4, 2.0, 17), POWERS, "val_loss", steps=100),
    ),
    "cliff": Ready(
        N_("Rate × clipping"),
        N_("Pascanu's cliff from above. Where every gradient is cut only rate × threshold counts, and with 0.01 even a "
           "rate of 10 learns; with a threshold of 1 that rate throws most seeds off."),
        "Pascanu, Mikolov & Bengio 2013",
        {"task": "delayed_recall", "hidden_size": 16, "batch_size": 16, "seq_length": 20, "optimizer": "sgd",
         "init": "normal", "gain": 1.2},
        Choice(RATES, THRESHOLDS, "val_loss", seeds=3, steps=150),
    ),
    "forget": Ready(
        N_("Forget bias × length"),
        N_("The LSTM's memory is as long as its forget gate stays open at the start: in this seed a bias of 0 "
           "reaches 10 steps, 1 reaches 20, 2 reaches 113."),
        "Gers, Schmidhuber & Cummins 2000; Tallec & Ollivier 2018",
        {**RECALL, "cell": "lstm", "hidden_size": 16, "init": "pytorch", "gain": 1.0},
        Choice(Axis("forget_bias", -2.0, 6.0, 17), POWERS, "val_loss", steps=100),
    ),
    "cells": Ready(
        N_("Cell × length"),
        N_("As torch draws them, with a forget bias of 1 for the LSTM: in most of five seeds it carries the bit over "
           "28 steps, the RNN over 14 and the GRU over 10, and none of the three over 40."),
        "Hochreiter & Schmidhuber 1997; Jozefowicz, Zaremba & Sutskever 2015",
        {**RECALL, "hidden_size": 16, "init": "pytorch", "gain": 1.0},
        Choice(Axis("cell", names=("rnn", "lstm", "gru")), Axis("seq_length", 5, 80, 9, True), "val_loss", seeds=5,
               steps=100),
    ),
    "init": Ready(
        N_("Weights × activation"),
        N_("How a network begins decides what its gradient does, before any training: with sigmoid it loses a decade "
           "within three steps under all of these weights but one, and with ReLU it lives under the identity."),
        "Glorot & Bengio 2010; Le, Jaitly & Hinton 2015",
        {"gain": 1.0, "seq_length": 60, "batch_size": 8},
        Choice(Axis("init", names=NAMES), Axis("nonlinearity", names=tuple(engine.ACTIVATIONS)), "decades_per_step",
               seeds=5),
        MORE,
    ),
    "hidden": Ready(
        N_("Hidden size"),
        N_("Of 50 sequences of a Markov chain each fifth is kept back once. Two units know too little, from 16 on they "
           "learn the sequences by heart: 8 are best, and 4 as good within the bars."),
        N_("article 001"),
        {"task": "markov", "seq_length": 20, "train_size": 50, "batch_size": 10, "lr": 0.01},
        Choice(Axis("hidden_size", 2, 64, 6, True), None, "val_loss", folds=5, steps=150),
        MORE,
    ),
}  # fmt: skip


def matching(values: Mapping[str, Any], choice: Choice) -> str:
    """The ready map that these controls and this choice are; "": none of them."""
    for name, row in MAPS.items():
        if choice == row.choice and not any(
            settings.effective(values)[f] != settings.effective(row.controls)[f]
            for f in settings.FIELDS
            if all(axis.field != f for axis in choice.axes)
        ):
            return name
    return ""
