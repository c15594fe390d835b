"""A text of one's own: its characters are the alphabet, its end is held back, and its lines are honest."""

from collections import Counter
from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.data import batch, validation_batches
from engine.own.said import Refused
from engine.tasks import text as book

SAID = "The cat sat on the mat,\nand the dog sat by the door.\n" * 40


def heard(inputs: np.ndarray, own: engine.OwnTask) -> list[str]:
    """The sequences of (T, B, size), as text."""
    return ["".join(own.data.alphabet[k] for k in column) for column in inputs.argmax(axis=2).T]


def test_the_characters_of_the_text_are_its_alphabet():
    own = engine.text(SAID.encode(), label="cat.txt")
    assert own.data.alphabet == tuple(sorted(set(SAID)))
    assert own.task.symbols[:2] == ("⏎", "␣")
    assert own.task.label == "cat.txt"
    assert own.data.recipe == "engine.text('cat.txt')"
    lower = engine.text(SAID.encode(), lower=True)
    assert lower.data.alphabet == tuple(sorted(set(SAID.lower())))
    windows = engine.text(SAID.replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(windows.data.codes, own.data.codes)


def test_training_and_validation_have_each_their_part():
    own = engine.text(SAID.encode(), validation=0.25)
    cut = len(SAID) - round(0.25 * len(SAID))
    e = engine.Experiment(task=own, seq_length=30, batch_size=50, hidden_size=4)
    for (x, y), part in ((batch(e, 0), SAID[:cut]), (validation_batches(e)[0], SAID[cut:])):
        for b, window in enumerate(heard(x, own)):
            following = own.data.alphabet[y[-1, b]]
            assert window + following in part
            assert "".join(own.data.alphabet[k] for k in y[:, b]) == window[1:] + following
    with pytest.raises(ValueError, match=f"at most {len(SAID) - cut - 1}"):
        e.replace(seq_length=len(SAID) - cut)
    e = e.replace(seq_length=len(SAID) - cut - 1)
    assert set(heard(validation_batches(e)[0][0], own)) == {SAID[cut:-1]}


def test_its_lines_are_counted_on_the_part_for_training():
    own = engine.text(SAID.encode())
    cut = len(SAID) - round(0.1 * len(SAID))
    seen, held, size = SAID[:cut], SAID[cut:], len(set(SAID))
    letters, pairs, firsts = Counter(seen), Counter(pairwise(seen)), Counter(seen[:-1])
    alone = [-log((letters[b] + 1) / (len(seen) + size)) for b in held[1:]]
    after = [-log((pairs[a, b] + 1) / (firsts[a] + size)) for a, b in pairwise(held)]
    assert own.task.trivial_loss["cross_entropy"](1) == pytest.approx(np.mean(alone), rel=1e-12)
    assert own.task.references["letter pairs"]["cross_entropy"](1) == pytest.approx(np.mean(after), rel=1e-12)
    assert own.task.references["any letter"]["cross_entropy"](1) == pytest.approx(log(size))
    squares = [((np.array([(letters[c] + 1) / (len(seen) + size) - (c == b) for c in own.data.alphabet])) ** 2).mean()
               for b in held[1:]]  # fmt: skip
    assert own.task.trivial_loss["mse"](1) == pytest.approx(np.mean(squares), rel=1e-12)


def test_the_book_gives_what_the_table_has():
    own = engine.text(book.FILE)
    row = engine.TASKS["text"]
    assert own.task.symbols == row.symbols
    for loss in ("cross_entropy", "mse"):
        assert own.task.trivial_loss[loss](9) == row.trivial_loss[loss](9)
    for mine, its in zip(batch(engine.Experiment(task=own), 3), batch(engine.Experiment(task="text"), 3), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_it_trains_and_runs_on():
    own = engine.text(SAID.encode())
    e = engine.Experiment(task=own, cell="gru", hidden_size=16, seq_length=20, batch_size=8, lr=0.03)
    trainer = engine.Trainer(e)
    trainer.advance(60)
    assert trainer.validation_loss() < own.task.baseline(e)
    said = trainer.generate(batch(e, 0)[0][:, :1], 12)
    assert said.shape == (12, 1, own.task.input_size)
    assert (said.sum(axis=2) == 1).all()


def test_rare_characters_are_one_and_that_is_said():
    letters = [chr(0x4E00 + k) for k in range(300)]
    written = "".join(c * (300 - k) for k, c in enumerate(letters))
    own = engine.text(written.encode("gb18030"), signs=50)
    assert own.data.alphabet == (*letters[:49], "▯")
    assert (own.data.codes == 49).sum() == len(written) - sum(300 - k for k in range(49))
    assert {n.name for n in own.data.notes} == {"read_as", "rare"}
    assert "251 rare characters" in str(own.data.notes[-1])
    assert len(engine.text(written.encode(), signs=256).data.alphabet) == 256


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"", {}, "is empty"),
        (b"a" * 50, {}, "no two different characters"),
        (b"abcabcabc", {}, "too short: 8 of its characters are for training and 1 for validation"),
        (bytes(range(32)) * 9, {}, "is no text"),
        (b"\x00" * 50, {}, "is no text|is empty"),
        (SAID.encode(), {"signs": 1}, "signs: 1; allowed: 2 to 256"),
        (SAID.encode(), {"signs": 257}, "signs: 257"),
        (SAID.encode(), {"validation": -1}, "validation: -1"),
        (b"abc\xff" * 9, {"encoding": "ascii"}, "cannot be read as “ascii”: byte 3"),
        (SAID.encode(), {"most_bytes": 100}, "larger than"),
        (np.zeros(4), {}, "source: ndarray; allowed are a path, bytes or an open file."),
        ("a text for a path" * 300, {}, "source: “a text.*”; allowed are a path, bytes or an open file."),
    ],
)
def test_what_is_no_text_is_refused_in_one_sentence(data, options, said):
    with pytest.raises(ValueError, match=said) as found:
        engine.text(data, **options)
    assert "\n" not in str(found.value)


@given(st.binary(max_size=200), st.integers(2, 9), st.sampled_from([0, 0.1, 0.5]))
def test_any_bytes_are_a_text_or_a_sentence(data, signs, validation):
    try:
        own = engine.text(data, signs=signs, validation=validation)
    except Refused as refusal:
        said = str(refusal)
    else:
        said = ""
    assert said.isprintable()
    if said:
        return
    assert all(name.isprintable() and name for name in own.task.symbols)
    x, y = own.task.draw(np.random.default_rng(0), own.task.max_length, 2)
    assert x.shape[2] == own.task.output_size > y.max()
    assert np.isfinite(own.task.trivial_loss["cross_entropy"](1))
