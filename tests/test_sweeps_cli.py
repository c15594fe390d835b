"""Sweeps from a shell, as a stranger types them: what is written, what is refused, and what Ctrl-C leaves."""

import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import xarray

import engine
from engine.sweeps import shell, values
from engine.sweeps.local import Local, local
from engine.sweeps.plan import plan
from engine.sweeps.store import Store
from tests.conftest import ROOT
from tests.test_sweeps_dataset import table_of

FEW = ["--set", "hidden_size=4", "batch_size=2", "--axis", "gain=0.5:1.5:3", "seq_length=5,6", "--seeds", "2"]
MANY = ["--set", "hidden_size=32", "--axis", "gain=0:2:1001", "--seeds", "2", "--measure", "grad_norm"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Local]:
    with local(1) as made:
        yield made


def few(**changes: object) -> engine.Experiment:
    return engine.Experiment(hidden_size=4, batch_size=2, **changes)


def test_a_sweep_writes_what_the_engine_says(tmp_path):
    """As a program of its own, whose errors go to a pipe."""
    command = [sys.executable, "-W", "error", "-m", "engine", "sweep", *FEW, "--measure", "grad_norm", "chi"]
    files = ["--store", "s.sqlite", "--out", "map.nc", "--csv", "map.csv"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [*command, *files], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("12 points; 12 to compute, ")
    assert "written: map.nc" in ran.stdout
    assert ran.stderr.splitlines()[-1] == "12 of 12 points", "rare lines, and the last one"
    assert "\r" not in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.csv", "map.nc", "s.sqlite"]

    with xarray.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as found:
        assert found.grad_norm.dims == ("gain", "seq_length", "seed")
        assert list(found.gain.values) == [0.5, 1.0, 1.5]
        for at in np.ndindex(3, 2, 2):
            one = found.isel(gain=at[0], seq_length=at[1], seed=at[2])
            e = few(gain=float(one.gain), seq_length=int(one.seq_length), seed=int(one.seed))
            assert float(one.grad_norm) == engine.probe(e).grad_norm
        assert engine.Experiment(**json.loads(found.attrs["experiment"])) == few()
        rows = list(csv.DictReader(table_of(tmp_path / "map.csv")))
        assert len(rows) == 12
        for row in rows:
            at = {"gain": float(row["gain"]), "seq_length": int(row["seq_length"]), "seed": int(row["seed"])}
            assert float(row["grad_norm"]) == float(found.grad_norm.sel(at))


def test_a_second_time_costs_nothing(tmp_path, cluster, capsys):
    address = cluster.client.scheduler.address
    command = ["sweep", *FEW, "--store", str(tmp_path / "s.sqlite"), "--scheduler", address]
    assert shell.main(command) == 0
    first = capsys.readouterr().out.splitlines()
    assert shell.main([*command[:-1], "tcp://127.0.0.1:1"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0] == "12 points, 12 known already: nothing left to compute"
    assert again[2:] == first[2:], "the same numbers"


def test_folds_and_steps_and_a_named_axis(tmp_path, cluster):
    command = [
        "sweep",
        "--set",
        "hidden_size=2",
        "batch_size=2",
        "train_size=6",
        "seq_length=5",
        "--axis",
        "cell=rnn,gru",
    ]
    command += ["--folds", "3", "--measure", "val_loss", "--steps", "2", "--out", str(tmp_path / "f.nc")]
    command += ["--csv", str(tmp_path / "f.csv")]
    assert shell.main([*command, "--scheduler", cluster.client.scheduler.address]) == 0
    with xarray.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as found:
        assert found.val_loss.dims == ("cell", "fold")
        assert bool(np.isfinite(found.val_loss).all())
        table = csv.DictReader(table_of(tmp_path / "f.csv"))
        rows = [(row["cell"], row["fold"], float(row["val_loss"])) for row in table]
        folds = [(cell, k) for cell in ("rnn", "gru") for k in (1, 2, 3)]
        assert rows == [(cell, str(k), float(found.val_loss.sel(cell=cell, fold=k))) for cell, k in folds]


def test_the_summary_counts_what_is_infinite_or_has_no_value():
    p = plan(few(), {"gain": [0.5, 1.0]}, 3, "half_life")
    lives = [0.5, np.inf, -np.inf, np.nan, 30.0]  # one is not done
    known = {p.key(point): {"half_life": life} for point, life in zip(p.points, lives, strict=False)}
    said = shell._summary(p, engine.sweeps.dataset(p, known), [], 1.0).splitlines()
    assert said[1] == "  half_life: 0.5 to 30 timesteps, 1 infinite, 1 minus infinite, 1 without a value (of 5)"


def start(*arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """The command in a terminal, and its other side."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "engine", "sweep", *arguments]
    environment = os.environ | {"COLUMNS": "70"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    return process, ours


def read_until(ours: int, pattern: str) -> str:
    """What the terminal shows until it shows this; pytest's own timeout ends the waiting."""
    said = ""
    while not re.search(pattern, said):
        try:
            said += os.read(ours, 4096).decode(errors="replace")
        except OSError:  # the other side is closed
            raise AssertionError(f"the terminal showed only: {said}") from None
    return said


def test_in_a_terminal_it_asks_draws_a_bar_and_says_after_ctrl_c_how_to_go_on(tmp_path):
    store = tmp_path / "a store.sqlite"
    process, ours = start(*MANY, "--store", str(store))
    try:
        assert re.search(r"2002 points; 2002 to compute, .* with \d", read_until(ours, r"Go on\? \[Y/n\]"))
        os.write(ours, b"\n")
        shown = read_until(ours, r"\r\[#+\.+\] \d+ of 2002 points, [^\r]* left")
        assert "\n" not in shown[shown.index("[#") :], "one line, written again and again"
        process.send_signal(signal.SIGINT)
        said = read_until(ours, r"goes on from there")
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert "Traceback" not in said
    assert f"interrupted; what is found is in {store}" in said.replace("\r\n", "\n").replace("\n", "")
    base, gains = engine.Experiment(hidden_size=32), values.axes(["gain=0:2:1001"])
    p = plan(base, gains, 2, "grad_norm")
    with Store(store) as kept:
        known = kept.known([p.key(point) for point in p.points], ["grad_norm"])
    assert 0 < len(known) < 2002
    assert [path.name for path in tmp_path.iterdir()] == [store.name]


def test_in_a_terminal_no_is_an_answer(tmp_path):
    process, ours = start(*FEW, "--csv", str(tmp_path / "map.csv"))
    try:
        read_until(ours, r"Go on\?")
        os.write(ours, b"n\n")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert not list(tmp_path.iterdir())


RANGE = (
    "allowed for a field of numbers: FIRST:LAST:COUNT, or FIRST:LAST:logCOUNT with numbers above 0, "
    "COUNT from 2 to 10000"
)
REFUSED = {
    "a field that is none": (["--set", "size=3"], "--set: 'size' is no field; allowed: cell, hidden_size"),
    "no value": (["--set", "gain"], "--set: 'gain'; allowed: NAME=VALUE"),
    "a wrong value": (["--set", "hidden_size=0"], "--set: hidden_size=0: "),
    "not a number": (["--set", "gain=loud"], "--set: gain='loud': "),
    "a wrong name": (
        ["--set", "cell=transformer"],
        "--set: cell='transformer': Input should be one of: rnn, lstm, gru",
    ),
    "two that do not go together": (["--set", "cell=gru", "omega=1"], "--set: omega=1.0: Ω is defined for cell=rnn"),
    "a field twice": (["--set", "gain=1", "gain=2"], "--set: gain twice"),
    "an axis twice": (["--axis", "gain=1,2"], "--axis: gain twice"),
    "an axis of nothing": (["--axis", "cell="], "axes[cell]: ''; allowed"),
    "a range of names": (["--axis", "cell=rnn:gru:3"], "--axis cell: 'rnn:gru:3'; allowed for a field of numbers"),
    "a range of one": (["--axis", "lr=1:2:1"], "--axis lr: '1:2:1'; allowed"),
    "a range without end": (["--axis", "lr=1:nan:3"], "--axis lr: '1:nan:3'; allowed"),
    "factors from zero": (["--axis", "lr=0:1:log3"], "--axis lr: '0:1:log3'; allowed"),
    "too many": (["--axis", "lr=0:1:200", "momentum=0:0.9:200"], "axes × seeds: 3 × 200 × 200 × 5 are 600000 points"),
    "a longer range": (["--axis", "lr=0:1:99999"], f"--axis lr: '0:1:99999'; {RANGE}"),
    "the seed": (["--axis", "seed=1,2"], "axes: 'seed' is no axis"),
    "seeds": (["--seeds", "many"], "--seeds: 'many'; allowed"),
    "no seeds": (["--seeds", "0"], "seeds: 0; allowed"),
    "a measure": (["--measure", "beauty"], "measures: ['beauty']; allowed: decades_per_step"),
    "a measure of training": (["--measure", "val_loss"], "measures: val_loss is of training, and steps=0"),
    "workers": (["--workers", "0"], "workers: 0; allowed"),
    "a scheduler": (["--scheduler", "tcp://127.0.0.1:1"], "scheduler: 'tcp://127.0.0.1:1': nobody answers there"),
    "a folder that is not there": (["--out", "/nowhere/map.nc"], "'/nowhere/map.nc' cannot be written"),
    "a device": (["--out", "/dev/null"], "'/dev/null' cannot be written"),
    "a file that cannot be begun": (["--out", "x" * 255], f"'{'x' * 255}' cannot be written"),
    "one file twice": (["--csv", "map.nc", "--out", "map.nc"], "'map.nc' is taken by another result"),
    "one file by two ways": (["--csv", "engine/../map.nc", "--out", "map.nc"], "'engine/../map.nc' is taken by"),
    "what is written before": (["--csv", "map.nc.part", "--out", "map.nc"], "'map.nc.part' is taken by another"),
    "the store": (["--store", "map.csv", "--csv", "map.csv"], "'map.csv' is taken by another result"),
    "a number of thousands of digits": (["--axis", f"hidden_size={'9' * 5000}"], "axes[hidden_size]: inf; allowed"),
    "as a setting": (["--set", f"hidden_size={'9' * 5000}"], "--set: hidden_size=inf: Input should be "),
    "a count of thousands of digits": (["--axis", f"lr=1:2:{'9' * 5000}"], "--axis lr: '1:2:99999"),
    "a count that is no digit": (["--axis", "lr=1:2:²"], "--axis lr: '1:2:²'; allowed for a field of numbers"),
    "a range wider than floats": (["--axis", "lr=-1e308:1e308:5"], "--axis lr: '-1e308:1e308:5'; allowed"),
    "a store that is none": (["--store", "README.md"], "store: 'README.md' is no store of sweeps"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_is_wrong_is_said_in_a_sentence(case, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("engine.sweeps.running.CONNECTS", 0.5)
    arguments, said = REFUSED[case]
    assert shell.main(["sweep", "--axis", "gain=1,2,3", "--csv", str(tmp_path / "x.csv"), *arguments]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"python -m engine sweep: {said}"), shown
    assert shown.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_can_be_written_is_left_as_it_is_until_there_is_a_result(tmp_path):
    (tmp_path / "map.csv").write_text("before")
    shell._writable(tmp_path / "map.csv")
    shell._writable(tmp_path / "map.nc")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("map.csv", "before")]


def test_a_sweep_whose_result_nobody_would_see_is_refused(capsys):
    assert shell.main(["sweep", "--axis", "gain=1"]) == 2
    assert "nothing would be kept; allowed: at least one of --out, --csv and --store" in capsys.readouterr().err


def test_the_help_names_every_field_every_measure_and_how_to_write_a_range(capsys):
    with pytest.raises(SystemExit) as ended:
        shell.main(["sweep", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name in (*engine.Experiment.model_fields, *engine.MEASURES, "FIRST:LAST:logN", "130"):
        assert name in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_values_are_read_as_the_field_has_them():
    read = values.axes(
        ["lr=1e-4:1:log5", "gain=0:1:11", "hidden_size=1:100:log5", "tbptt=none,10", "variational_dropout=true,false"]
    )
    assert read["lr"] == [1e-4, 1e-3, 1e-2, 0.1, 1.0]
    assert read["gain"] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert read["hidden_size"] == [1, 3, 10, 32, 100]
    assert read["tbptt"] == [None, 10]
    assert read["variational_dropout"] == [True, False]
    assert values.experiment(
        ["seq_length=1e2", "loss=none", "task=sine", "seed=9007199254740993"]
    ) == engine.Experiment(seq_length=100, task="sine", seed=9007199254740993)
    assert values.whole_numbers("3") == 3
    assert values.whole_numbers("0,7") == [0, 7]
