"""Every word of maps, of data and of networks of one's own in the reader's language."""

import re

import numpy as np
import pytest

import engine
from app import figures, networks, settings
from app.figures.maps import picture
from app.figures.maps_cells import Cells
from app.figures.maps_measures import LOOKS
from app.figures.maps_words import answer, heard, of_cell
from app.maps import Axis, Choice
from app.training import Training
from app.views.maps import cells_of
from app.views.own import said
from app.words import speak
from tests import test_maps as maps_cases
from tests.test_languages import brackets, hold, known, untranslated
from tests.test_maps import pool

__all__ = ["brackets", "pool"]  # fixtures

TABLE = "\n".join(["day;a;b", *(f"2021-01-{n % 28 + 1:02};{n % 7},5;{n * n % 11}" for n in range(300))]).encode()
OWN = {
    "series": lambda: engine.series(TABLE),
    "later": lambda: engine.series(TABLE, target="b", horizon=3),
    "text": lambda: engine.text(b"([]) {} " * 200),
}


@pytest.mark.parametrize("kind", OWN)
def test_own_data(brackets, kind):
    task = OWN[kind]()
    training = Training(engine.Experiment(task=task, hidden_size=4, seq_length=12, batch_size=4))
    training.advance(1, lambda: False)
    training.record()
    s = training.snapshot(1, 0)
    hold({name: draw(s, figures.palette("light")) for name, draw in figures.FIGURES.items()})
    for note in task.data.notes:
        assert not untranslated(re.sub("“[^”]*”", "", said(note)))  # quoted is what the file says


@pytest.mark.parametrize("task", ["sine", "markov"])
def test_own_networks(brackets, task):
    weights = engine.Trainer(engine.Experiment(hidden_size=5, task=task)).state_dict
    for arrays in (weights, {name: value for name, value in weights.items() if "head" not in name}):
        found = networks.network(arrays, "1.npz", settings.DEFAULTS)
        for sentence in networks.found(found):
            assert not untranslated(sentence.replace("1.npz", "").replace("PyTorch", "")), sentence


def test_why_a_file_is_no_network(brackets):
    square = np.ones((5, 5))
    for arrays in ({}, {"weight_ih_l0": square}, {"weight_ih_l0": np.ones((7, 5)), "weight_hh_l0": np.ones((7, 5))}):
        with pytest.raises(ValueError, match=r"allowed") as refused:
            networks.network(arrays, "1.npz", settings.DEFAULTS)
        assert refused.value.message in known()
        assert "⟦" in networks.why(refused.value)


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("up", [True, False])
def test_maps(brackets, name, up):
    c = maps_cases.cells(name=name, baseline=0.2)
    if not up:
        part = (c.values[:, 0], c.diverged[:, 0], c.done[:, 0], c.errors[:, 0])
        c = Cells(c.experiment, c.across, None, name, 0, False, *part, baseline=0.2)
    hold({name: picture(c, figures.palette("light")), "words": [answer(c), heard(c), of_cell(c, (0, 0)[: 1 + up])]})


def test_a_network_that_cannot_be_is_explained_to_its_reader(pool):
    """The engine says it in English."""
    choice = Choice(Axis("gain", 1.0, 2.0, 2), Axis("seq_length", 5, 20, 2), "grad_norm")
    speak("zh")
    try:
        found = maps_cases.done(choice, pool, maps_cases.Known(), task="temporal_order", seq_length=20)
        errors = cells_of(found, choice).errors
    finally:
        speak("en")
    assert "任务“时间顺序”至少需要 10 个时间步" in errors[0, 0]
    assert errors[0, 1] == ""
    assert "needs at least 10" in cells_of(found, choice).errors[1, 0]
