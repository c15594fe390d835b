"""A series of one's own: what a file says is found or refused in a sentence; of the held part nothing is learned."""

import codecs
import csv
import io
import zlib
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import engine
from engine.data import batch, validation_batches
from engine.own.forms import COMMA_NUMBER, DATE, MOST_COLUMNS, NUMBER
from engine.own.reading import decoded
from engine.own.said import Refused
from engine.own.tables import _distinct

RNG = np.random.default_rng(11)
WAVE = np.stack([np.sin(np.arange(400) / 9) * 8 + 20, RNG.standard_normal(400)], axis=1)


def written(values, header=("temp", "rain"), separator=",", decimal=".", dates=False) -> str:
    """A table as programs write it."""
    file = io.StringIO()
    table = csv.writer(file, delimiter=separator)
    if header:
        table.writerow((["day"] if dates else []) + list(header))
    for n, row in enumerate(values):
        cells = [f"{x:.6f}".replace(".", decimal) for x in row]
        table.writerow(([str(date(2020, 1, 1) + timedelta(days=n))] if dates else []) + cells)
    return file.getvalue()


def refused(said: str, *args, **options) -> None:
    with pytest.raises(ValueError, match=said) as found:
        engine.series(*args, **options)
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 700


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("header", [("temp", "rain"), None])
@pytest.mark.parametrize("dates", [False, True])
def test_a_table_is_read_as_it_was_written(separator, decimal, header, dates):
    if separator == decimal == ",":
        separator = ";"
    data = engine.series(written(WAVE, header, separator, decimal, dates).encode(), normalise="none").data
    np.testing.assert_allclose(data.values, WAVE, atol=1e-6)
    assert data.columns == (header or (("column 2", "column 3") if dates else ("column 1", "column 2")))
    names = {note.name for note in data.notes}
    assert ("left_dates" in names) == dates
    if (separator, decimal) != (" ", ","):  # "2020-01-01 20,5" without a header can be read in two ways
        text = written(WAVE[:, :1], header and header[:1], separator, decimal, True)
        np.testing.assert_allclose(engine.series(text.encode(), normalise="none").data.values, WAVE[:, :1], atol=1e-6)
    assert ("decimal_comma" in names) == (decimal == ",")
    assert ("no_header" in names) == (header is None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "latin-1"])
def test_the_encoding_is_found(encoding):
    names = ("温度", "降水量") if encoding != "latin-1" else ("Température", "Größe")
    data = engine.series(written(WAVE, names).encode(encoding)).data
    assert data.columns == names
    text = "Zu Köln am Rhein, weiß er, kämen Äpfel teurer: déjà vu, señor.\n" * 3
    found, name = decoded(text.encode("cp1252"))
    assert (found, name) == (text, "cp1252")


def test_every_kind_of_source_gives_the_same_series(tmp_path):
    (tmp_path / "weather.csv").write_text(written(WAVE))
    with open(tmp_path / "weather.csv", "rb") as opened:
        same = [engine.series(tmp_path / "weather.csv"), engine.series(str(tmp_path / "weather.csv")),
                engine.series(opened), engine.series(written(WAVE).encode(), label="weather.csv")]  # fmt: skip
    assert len(set(same)) == 1
    assert same[0].task.label == "weather.csv"
    assert same[0].data.recipe == "engine.series('weather.csv')"
    frame = pd.DataFrame(WAVE, columns=["temp", "rain"], index=pd.date_range("2020", periods=400))
    for source in (WAVE, WAVE.tolist(), frame):
        np.testing.assert_allclose(engine.series(source).data.values, same[0].data.values, atol=1e-5)
    assert engine.series(frame["temp"], label="t").data.columns == ("temp",)
    assert engine.series(frame.assign(day=frame.index, word="x", k=range(400))).data.columns == ("temp", "rain")
    assert engine.series(WAVE[:, 0]).task.input_size == 1


def test_windows_lie_in_their_part_and_targets_come_the_horizon_later():
    values = np.stack([np.arange(300.0) ** 1.5, RNG.standard_normal(300)], axis=1)
    own = engine.series(values, target="2", horizon=3, normalise="none", validation=0.25)
    e = engine.Experiment(task=own, seq_length=20, batch_size=40, hidden_size=4)
    for (x, y), low, high in ((batch(e, 0), 0, 225), (validation_batches(e)[0], 225, 300)):
        assert x.shape == (20, x.shape[1], 2)
        for b in range(x.shape[1]):
            first = int(np.flatnonzero(values[:, 0] == x[0, b, 0])[0])
            assert low <= first
            assert first + 19 + 3 < high
            np.testing.assert_array_equal(x[:, b], values[first : first + 20])
            np.testing.assert_array_equal(y[:, b, 0], values[first + 3 : first + 23, 1])
    e = e.replace(seq_length=own.task.max_length)
    assert own.task.max_length == 75 - 3
    assert {validation_batches(e)[0][0][0, b, 0] for b in range(16)} == {values[225, 0]}, "there is one place for it"
    with pytest.raises(ValueError, match=r"seq_length=73.*at most 72"):
        e.replace(seq_length=73)


@pytest.mark.parametrize("normalise", ["standard", "minmax", "none"])
def test_the_scale_is_that_of_the_training_part_alone(normalise):
    late = np.concatenate([WAVE[:320], 1000 + 50 * WAVE[320:]])
    data, before = engine.series(late, normalise=normalise).data, engine.series(WAVE, normalise=normalise).data
    np.testing.assert_array_equal(data.values[:320], before.values[:320])
    np.testing.assert_allclose(data.own_units(data.values[:, 1], 1), late[:, 1])
    if normalise == "standard":
        np.testing.assert_allclose(data.values[:320].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(data.values[:320].std(axis=0), 1)
    if normalise == "minmax":
        assert data.values[:320].min() == 0
        assert data.values[:320].max() == 1


def test_its_lines_are_persistence_and_variance_of_the_part_held_back():
    for target, horizon in ((None, 1), ("2", 1), ("1", 7)):
        own = engine.series(WAVE, target=target, horizon=horizon)
        data, row = own.data, own.task
        seen, held = data.values[:320, data.outputs], data.values[320:, data.outputs]
        for steps in (1, 9, row.max_length):
            starts = range(len(held) - steps - horizon + 1)
            asked = [held[n + horizon : n + horizon + steps] for n in starts]
            again = np.mean([(y - held[n : n + steps]) ** 2 for n, y in zip(starts, asked, strict=True)])
            mean = np.mean([(y - seen.mean(axis=0)) ** 2 for y in asked])
            assert row.trivial_loss["mse"](steps) == pytest.approx(again, rel=1e-12)
            assert row.references["guessing the mean"]["mse"](steps) == pytest.approx(mean, rel=1e-12)
        assert row.generates == (target is None and horizon == 1)
    blind = engine.series(WAVE, columns=["2"], target=["1"]).task
    assert blind.baseline_label == "guessing the mean", "what is not heard cannot be repeated"
    assert not blind.generates


def test_a_perfect_repetition_scores_the_baseline():
    """The network that says what it hears: the line is what the trainer would measure of it."""
    own = engine.series(WAVE[:, 0], validation=0.5)
    e = engine.Experiment(task=own, seq_length=own.task.max_length, batch_size=1, hidden_size=1)
    x, y = validation_batches(e)[0]
    assert ((x - y) ** 2).mean() == pytest.approx(own.task.baseline(e))


@pytest.mark.parametrize("rows", [100, 400, 4000])
def test_every_window_held_back_counts_about_alike_whatever_the_seed(rows):
    own = engine.series(np.sin(np.arange(rows) / 7) + 0.3 * np.random.default_rng(3).standard_normal(rows))
    e = engine.Experiment(task=own, seq_length=10, hidden_size=1)
    x, y = validation_batches(e)[0]
    assert ((x - y) ** 2).mean() == pytest.approx(own.task.baseline(e), rel=0.02)
    np.testing.assert_array_equal(x, validation_batches(e.replace(seed=1))[0][0])
    if rows < 4000:
        assert len(np.unique(x[0])) == rows // 5 - 10, "all of them"


WITH_GAPS = "a,b\n" + "\n".join(f"{n % 7},{'' if n in (5, 6, 17) else n % 5}" for n in range(40))


def test_equal_values_of_another_file_have_notes_of_their_own():
    rows = [f"{n % 7},{n % 5}" for n in range(40)]
    comma, semicolon = (engine.series("\n".join(["a,b", *rows]).replace(",", s).encode()) for s in (",", ";"))
    np.testing.assert_array_equal(comma.data.values, semicolon.data.values)
    assert comma != semicolon
    assert [str(note) for note in comma.data.notes] != [str(note) for note in semicolon.data.notes]


def test_at_the_split_the_nearest_value_is_repeated_and_said_to_be():
    csv = "a\n" + "\n".join("nan" if n in (38, 39, 40) else str(n) for n in range(50))
    filled = engine.series(csv.encode(), missing="interpolate", normalise="none").data
    assert filled.values[37:42, 0].tolist() == [37, 37, 37, 41, 41]
    assert "repeat the nearest one" in str(filled.notes[-1])


def test_missing_values_are_refused_until_somebody_says_what_to_do():
    refused(r"In column “b” 3 of 40 values are missing, the first in line 7\..*drop.*interpolate", WITH_GAPS.encode())
    dropped = engine.series(WITH_GAPS.encode(), missing="drop", normalise="none").data
    np.testing.assert_array_equal(dropped.values[:, 0], [n % 7 for n in range(40) if n not in (5, 6, 17)])
    filled = engine.series(WITH_GAPS.encode(), missing="interpolate", normalise="none").data
    np.testing.assert_allclose(filled.values[4:8, 1], [4, 10 / 3, 8 / 3, 2])
    assert str(filled.notes[-1]).startswith("3 missing")
    assert engine.series(WITH_GAPS.encode(), columns="a").data.columns == ("a",), "a column that is not used may lack"
    late = WITH_GAPS + "\n" + "\n".join("1," for _ in range(10))
    refused("“b” has no number in the part for validation", late.encode(), missing="interpolate")


ROWS = "\n".join(f"{n % 3},{n * n % 7}" for n in range(30))
WRONG = {
    b"": "is empty",
    b" \r\n\n": "is empty",
    b"\xef\xbb\xbf": "is empty",
    b"a,b\n": "has no column of numbers",
    b"a,b\n1,2\n": "“data” is too short: 1 of its rows are for training and 0",
    b"3.5\n": "“data” is too short: 1 of its rows are for training and 0",
    b"name\nx\ny\nz\n": "has no column of numbers. It has “column 1”",
    b"a\n" + b"4\n" * 50: "Every column of numbers in “data” has the same value",
    b"n,c\n" + b"".join(b"%d,4\n" % n for n in range(30)): "count the rows or never change.*by its name: “n”, “c”",
    b"a,b\n" + b"".join(b"x,%d\n" % n for n in range(30)): "“data” count the rows or .* by its name: “b”",
    b"x" * 100_000 + b",b\n" + b"1,2\n" * 30: "line 1 does not end within 65,536 characters",
    b"\na,b\n" + b"1" * 100_000 + b",2\n" + b"1,2\n" * 30: "line 3 does not end within 65,536 characters",
    b'"' * 1_000_001: "line 1 does not end within 65,536 characters",
    b"a\n" + b"4\n" * 45 + b"5\n" * 5: "“a” is 4 in all rows of the part for training",
    f"a,b\n{ROWS}\n1,2,3\n".encode(): "Line 32 of “data” has 3 fields, and the lines before it have 2",
    f'a,b\n{ROWS}\n1,"2\n3,4'.encode(): "quotation mark in line 32 ",
    f'a,b\n\n"1\n",2\n{ROWS}\n1,"2\n3,4'.encode(): "quotation mark in line 35 ",
    f'a,b\n\n"1\n",2\n{ROWS}\n1,2,3\n'.encode(): "Line 35 of “data” has 3 fields",
    f"a,b\n{ROWS}\n1,inf\n".encode(): "“b” has a value that is infinite, in line 32",
    f"a,b\n{ROWS}\n1,1e200\n".encode(): "“b” has a value as large as 1e\\+200, in line 32",
    f"a\n{ROWS}\n".encode(): "Line 2 of “data” has 2 fields, and the lines before it have 1",
    b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9: "is no text",
    b"PK\x03\x04" + bytes(500): "is no text",
    b"," * 5000 + b"\n" + b"1," * 5000: "5,001 columns; at most 1,000",
}


@pytest.mark.parametrize("data", list(WRONG), ids=list(WRONG.values()))
def test_what_is_wrong_is_said_in_one_sentence(data):
    refused(WRONG[data], data)


def test_options_that_make_no_sense_are_refused_by_name():
    text = "day,a,b,word,a,mixed\n" + "\n".join(f"2020-01-{n % 28 + 1},{n % 3},{n * n % 7},x,{n % 4},{n % 9}"
                                                   for n in range(60)) + "\n2020-02-02,1,2,y,3,much"  # fmt: skip
    data = text.encode()
    refused("“mixed” is not of numbers alone: line 62 has “much”. Leave such rows out", data)
    refused("“mixed” is not of numbers alone: line 62 has “much”", data, columns="a", target="mixed")
    found = engine.series(data, missing="drop").data
    assert found.columns == ("a", "b", "a (2)", "mixed")
    assert {note.name for note in found.notes} >= {"renamed", "left_dates", "left_text", "words", "dropped"}
    assert len(found.values) == 60
    filled = engine.series(data, missing="interpolate", normalise="none").data
    assert filled.values[-1].tolist() == [1, 2, 3, filled.values[-2, 3]], "the nearest again at the end"
    assert engine.series(data, columns=["a", "b"]).data.columns == ("a", "b"), (
        "a column that is not asked for is no matter"
    )
    refused("columns: “c” is no column of “data”. It has “a”, “b”", data, columns="c")
    refused("target: “word” is no column", data, target="word")
    refused("columns: “a” is named twice", data, columns=["a", "a"])
    refused("horizon: 0; allowed: 1 to", data, horizon=0)
    refused("horizon: 'x'", data, horizon="x")
    refused("normalise: 'z'; allowed: standard, minmax, none", data, normalise="z")
    refused("missing: 'fill'", data, missing="fill")
    refused("validation: 1", data, validation=1)
    short = "too short: 49 of its rows are for training and 12 for validation, and each part needs 52"
    refused(short, data, columns="a", horizon=50)
    refused("encoding: “klingon” is not known", data, encoding="klingon")
    refused("encoding: “hex” is not known", b"00", encoding="hex")
    refused("cannot be read as “utf-8”: byte 3", b"a,b\xff\n", encoding="utf-8")
    refused("larger than 100 bytes", data, most_bytes=100)
    refused("source: shape \\(2, 2, 2\\)", np.zeros((2, 2, 2)))
    refused("source: shape .*complex", np.zeros(9, complex))
    refused("source: set", {1})
    for name in ("zlib", "bz2", "rot13", "uu", "idna", "punycode", "utf-8\0", "é", "\ud800"):
        refused("encoding: “.*” is not known", data, encoding=name)
    refused("encoding: 3; allowed: utf-8", data, encoding=3)
    refused("columns: 3; allowed: names of columns", data, columns=3)
    refused("target: 2.5; allowed: names of columns", data, target=2.5)
    for most in ("x", -5, 0, 2.0, True, 1 << 40):
        refused(f"most_bytes: {most!r}; allowed: 1 to 4,294,967,296", data, most_bytes=most)
    refused("larger than 1 MB", b"1," * (1 << 20), most_bytes=1 << 20)
    refused("source: “a·b”; allowed are a path", "a\0b")
    with pytest.raises(OSError, match="nowhere"):
        engine.series("/nowhere.csv")


def test_a_row_number_is_no_series_unless_it_is_asked_for():
    text = "n,year,x\n" + "\n".join(f"{n},{1749 + n / 12:.3f},{n * n % 11}" for n in range(60))
    assert engine.series(text.encode()).data.columns == ("x",)
    assert engine.series(text.encode(), columns=["year", "x"], target="x").data.columns == ("year", "x")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("row", ["7,", "7,inf", "7,1e200", "7,x"])
def test_a_line_is_named_as_an_editor_counts_it(end, row):
    """With empty lines, names and fields over two lines, and comments with a quotation mark in them."""
    text = f'# don"t\n"a\nof two",b\n\n \n{ROWS}\n"4\n",5\n\n{row}\n{ROWS}\n\n'.replace("\n", end)
    line = 1 + text.split(end).index(row)
    with pytest.raises(ValueError, match=f"in line {line}|line {line} has “x”"):
        engine.series(text.encode(), columns="b")
    values = engine.series(text.encode(), columns="a·of two", normalise="none").data.values
    assert len(values) == 62, "no row is taken for the header"


def test_a_column_alone_has_an_empty_line_where_a_value_is_missing():
    text = ("a\n" + "\n".join("" if n in (5, 9) else str(n * n % 11) for n in range(40)) + "\n\n").encode()
    refused("In column “a” 2 of 40 values are missing, the first in line 7", text)
    assert len(engine.series(text, missing="drop").data.values) == 38


def test_a_value_that_is_huge_once_scaled_is_named_by_its_line():
    text = "\n".join(["a,b", *(f"{n % 7}e-30,1" for n in range(30)), ",2", *["1e80,2"] * 5])
    refused("“a” has a value as large as .*, in line 33;", text.encode(), columns="a", missing="drop")


def test_what_a_file_says_is_short_and_in_one_line():
    text = "<b>\x07" + "x</b>" * 50 + ",a\n" + ROWS
    quoted = f'"{"y" * 300}\n{"z" * 9}","{"w" * 9}\nq"\n{ROWS}'
    for data in (text, quoted):  # a name over two lines, too
        found = engine.series(data.encode(), label="f\n" * 90).data
        for name in (*found.columns, found.label):
            assert len(name) <= 48
            assert name.isprintable()
    refused("^“a{39}…” is empty", b"", label="a" * 900)


def test_a_million_rows_take_their_file_and_little_more():
    n = np.arange(1_000_000)
    text = "day,x,y\n" + "\n".join(f"2020-01-01,{a},{b}" for a, b in zip(n % 977 / 2, n * 37 % 1009, strict=True))
    own = engine.series(text.encode())
    assert own.data.values.shape == (1_000_000, 2)
    assert np.isfinite(engine.train(engine.Experiment(task=own, hidden_size=4, batch_size=4), 2).loss).all()


def test_a_checkpoint_says_which_data_it_lacks(tmp_path):
    own = engine.series(WAVE, label="waves.csv", horizon=2)
    trainer = engine.Trainer(engine.Experiment(task=own, hidden_size=3, batch_size=2, seq_length=9))
    trainer.advance(2)
    trainer.checkpoint().save(tmp_path / "run.npz")
    assert engine.load_checkpoint(tmp_path / "run.npz").experiment.task is own
    del own, trainer
    with pytest.raises(ValueError, match=r"load them first with engine.series\('waves.csv', horizon=2\)"):
        engine.load_checkpoint(tmp_path / "run.npz")
    again = engine.series(WAVE, label="waves.csv", horizon=2)
    assert engine.load_checkpoint(tmp_path / "run.npz").experiment.task is again


CELLS = st.sampled_from(["1", "-2.5", "1e9", "", "nan", "inf", "x", '"', "1,5", "2020-01-01", "1e400", "9" * 400, "é"])
TABLES = st.lists(st.lists(CELLS, max_size=4), max_size=12)


@given(st.binary(max_size=300) | TABLES.map(lambda t: "\n".join(",".join(r) for r in t).encode()), st.data())
@example(b'"', None)
@example(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n3\n5", None)
def test_any_bytes_are_a_task_or_a_sentence(data, choice):
    options = {}
    if choice is not None:
        options = {
            "normalise": choice.draw(st.sampled_from(["standard", "minmax", "none"])),
            "missing": choice.draw(st.sampled_from(["refuse", "drop", "interpolate"])),
            "horizon": choice.draw(st.integers(1, 3)),
            "validation": choice.draw(st.sampled_from([0, 0.2, 0.5])),
        }
    try:
        own = engine.series(data, **options)
    except Refused as refusal:
        said = str(refusal)
    else:
        said = ""
    assert said.isprintable()
    if said:
        return
    x, y = own.task.draw(np.random.default_rng(0), own.task.max_length, 3)
    assert np.isfinite(x).all()
    assert np.isfinite(y).all()
    assert np.isfinite(own.task.trivial_loss["mse"](1))


def test_the_time_for_a_cell_goes_with_its_length():
    """No two repetitions that the same characters fit stand side by side: `re` would try every way to part them."""
    for cell in ("9" * 200_000 + "x", "9" * 200_000 + ".x", " " * 200_000 + "x", "1e" + "9" * 200_000 + "x"):
        for pattern in (NUMBER, COMMA_NUMBER, DATE):  # of these lengths a square would be minutes
            assert not pattern.fullmatch(cell)
    assert all(NUMBER.fullmatch(cell) for cell in (" 1", "-1.", "+.5", "1.5e-3 ", "9" * 400))
    assert not any(NUMBER.fullmatch(cell) for cell in ("", ".", "1..2", "1.5.", "e5", "1 2"))


def test_columns_of_one_name_take_no_longer_than_others():
    count = 20_000  # their square of looks at a list would be minutes
    names = _distinct(["a"] * count)
    assert names[:3] + names[-1:] == ["a", "a (2)", "a (3)", f"a ({count})"]
    assert _distinct(["a", "a (2)", "a", "a", "a (2)", ""]) == ["a", "a (2)", "a (3)", "a (4)", "a (2) (2)", "column 6"]


def test_arrays_and_frames_have_as_many_columns_as_a_file_may():
    wide = RNG.standard_normal((9, MOST_COLUMNS + 1))
    for source in (wide, wide.tolist(), pd.DataFrame(wide)):
        refused("“data” has 1,001 columns; at most 1,000 are read", source)
    assert len(engine.series(wide[:, 1:], validation=0).data.columns) == MOST_COLUMNS


def test_what_is_no_encoding_is_not_begun(monkeypatch):
    """A few bytes of zlib may be gigabytes."""
    monkeypatch.setattr(codecs, "decode", lambda *_: pytest.fail("decoded"))
    for name in ("zlib", "bz2", "hex", "rot13"):
        refused("is not known", zlib.compress(b"1,2\n" * 100), encoding=name)


FRAME = pd.DataFrame({"a": np.arange(40) % 7, "b": np.arange(40) ** 2 % 5})
TIMES = pd.date_range("2020", periods=40)
OLD = np.arange(60.0) ** 2 % 7
FRAMES = {
    "two of a name": (pd.concat([FRAME, FRAME], axis=1), ("a", "b", "a (2)", "b (2)")),
    "two levels of names": (FRAME.set_axis(pd.MultiIndex.from_tuples([("x", "a"), ("y", "b")]), axis=1),
                            ("('x', 'a')", "('y', 'b')")),
    "time zones": (FRAME.set_index(TIMES.tz_localize("Europe/Berlin")), ("a", "b")),
    "times": (FRAME.assign(t=TIMES, d=TIMES - TIMES[0], o=pd.Series(list(TIMES), dtype=object)), ("a", "b")),
    "complex objects": (FRAME.assign(z=(1j * FRAME.a).astype(object)), ("a", "b")),
    "categories": (FRAME.astype("category"), ("a", "b")), "texts": (FRAME.astype("string"), ("a", "b")),
    "truths": ((FRAME > 2).astype("boolean"), ("a", "b")), "sparse": (FRAME.astype("Sparse[float]"), ("a", "b")),
    "lists": (FRAME.assign(l=[[1]] * 40), ("a", "b")), "huge": (FRAME.assign(h=[10**400] * 40), ("a", "b")),
    "no rows": (FRAME[:0], "no column of numbers"), "nothing": (pd.DataFrame(), "no column of numbers"),
    "gaps": (FRAME.astype("Int64").mask(FRAME.a == 3), "6 of 40 values are missing, the first in line 4"),
    "one time": (TIMES[0], "source: Timestamp"), "no frame": (pd.NA, "source: NAType"),
    "big-endian": (OLD.astype(">f8"), ("1",)), "every other": (np.repeat(OLD, 2)[::-2], ("1",)),
    "halves": (OLD.astype(np.float16), ("1",)), "truth values": (OLD > 3, ("1",)),
    "beyond float64": (OLD.astype(np.longdouble) * np.longdouble("1e4000"), "“1” has a value that is infinite"),
    "no dimension": (np.array(3.0), r"source: shape \(\), float64"), "no number": (np.array([]), "too short: 0 of"),
    "objects": (np.array([1, None], object), "source: .*object"), "dates": (TIMES.to_numpy(), "source: .*datetime64"),
    "masked": (np.ma.masked_equal(OLD, 4), "source: masked elements"), "words": (OLD.astype(str), "source: .*<U"),
    "rows of two lengths": ([[1, 2], [3]], "source: not an array"), "too large": ([10**400, 1], "source: .*object"),
    "a generator": ((n for n in range(9)), "source: generator"), "records": (np.zeros(5, [("a", float)]), "source: "),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FRAMES)
def test_whatever_is_at_hand_is_a_series_or_a_sentence(name):
    source, expected = FRAMES[name]
    if isinstance(expected, str):
        refused(expected, source)
    else:
        assert engine.series(source).data.columns == expected


def test_options_of_another_kind_are_refused_by_name():
    for odd in (np.array(["standard", "minmax"]), ["standard"], None):
        refused("normalise: .*; allowed: standard, minmax, none", OLD, normalise=odd)
    refused("missing: .*; allowed: refuse", OLD, missing=np.array([1, 2]))
    for odd in (np.nan, np.array([0.2, 0.3]), True, 1, "x", None, 1j):
        refused("validation: .*; allowed: 0 to 0.9", OLD, validation=odd)
        with pytest.raises(ValueError, match=r"validation: .*; allowed: 0 to 0.9"):
            engine.text(b"to and fro" * 9, validation=odd)
    assert engine.series(OLD, validation=np.float32(0.25)).data.held == 15
    with pytest.raises(ValueError, match="lower: 1; allowed: True, False"):
        engine.text(b"to and fro" * 9, lower=1)
