"""Take away: a run as a file and back, whatever somebody hands in; what a picture says of itself; the page's dialog."""

import asyncio
import io
import json
import tempfile
import threading
import time
import zipfile
from typing import Any

import numpy as np
import pytest
from starlette.requests import Request

import engine
from app import export, handout, small
from app.figures import FIGURES, palette
from app.figures.small import SMALL
from app.frames import Encoder, decode
from app.live import frame
from app.registry import RUNS
from tests.running import run_async
from tests.test_app import page, press, run_of, runs_end  # noqa: F401  (a fixture)
from tests.test_runs import SMALL as E
from tests.test_runs import until


@pytest.fixture
def run(runs_end):  # noqa: F811
    run = RUNS.open()
    run.watch(lambda: None)
    run.configure(E)
    assert run.settle(60)
    run.step(12)
    until(lambda: run.head()["run"]["step"] == 12 and run.rests, 20)
    return run


class Answer:
    """What a browser gets: status, headers, all of the body."""

    def __init__(self, name: str, token: str) -> None:
        run_async(self._get(name, token))

    async def _get(self, name: str, token: str) -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {key.decode(): value.decode() for key, value in message["headers"]}
            self.content += message.get("body", b"")

        async def receive() -> Any:
            await asyncio.sleep(60)

        self.content = b""
        scope = {"type": "http", "method": "GET", "path_params": {"name": name, "token": token}, "headers": [],
                 "query_string": b""}  # fmt: skip
        await (await handout.handout(Request(scope, receive)))(scope, receive, send)


@pytest.fixture
def get(run):
    return lambda name, token=run.token: Answer(name, token)


def test_a_run_goes_out_and_comes_back(run, get):
    answer = get("run.npz")
    assert (
        answer.headers["content-disposition"] == f'attachment; filename="{E.cell}_{E.task}_T{E.steps}_step12_run.npz"'
    )
    assert int(answer.headers["content-length"]) == len(answer.content)
    again, here = handout.taken_up(io.BytesIO(answer.content), len(answer.content)), run.checkpoint()
    assert (again.step, again.experiment) == (12, E)
    for name, value in here.state_dict.items():
        np.testing.assert_array_equal(again.state_dict[name], value)
    np.testing.assert_array_equal(again.history.loss, here.history.loss)


def test_the_step_that_is_shown_goes_out(run, get):
    run.show(0)
    assert "_step0_" in get("run.npz").headers["content-disposition"]


def test_the_curves_go_out_with_all_digits(run, get):
    lines = get("curves.csv").content.decode().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert engine.Experiment(**json.loads(head[0].removeprefix("# experiment: "))) == E
    names, *rows = (line.split(",") for line in lines[len(head) :])
    table = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    history = run.checkpoint().history
    assert [float(loss) for loss in table["loss"]] == history.loss.tolist()
    assert [text == "" for text in table["validation_loss"]] == np.isnan(history.validation_loss).tolist()


@pytest.mark.parametrize("name", ["run.npz.exe", "weights", "..", "%2e%2e%2fmain.py"])
def test_nothing_else_goes_out(get, name):
    assert get(name).status == 404


def test_only_the_run_of_the_token_goes_out(get):
    assert get("run.npz", "x" * 32).status == 404


def test_no_file_stays_open(get, monkeypatch):
    made = []

    def file() -> Any:
        made.append(tempfile.SpooledTemporaryFile())  # noqa: SIM115
        return made[-1]

    monkeypatch.setattr(handout.tempfile, "TemporaryFile", file)
    assert get("run.npz").status == 200
    assert [one.closed for one in made] == [True]


def test_who_waits_for_a_file_holds_nothing_and_a_long_queue_is_refused(run, monkeypatch):
    made, most, allowed = [], [0], handout.AT_ONCE + handout.MOST_WAITING

    def shown(token: str) -> Any:
        assert threading.current_thread() is not threading.main_thread(), "the event loop makes no checkpoint"
        made.append(token)
        most[0] = max(most[0], len(made))
        time.sleep(0.02)
        made.pop()
        return run.checkpoint()

    monkeypatch.setattr(handout, "shown", shown)
    monkeypatch.setattr(handout, "_turn", asyncio.Semaphore(handout.AT_ONCE))

    async def crowd() -> list[int]:
        return [response.status_code for response in await asyncio.gather(*(one() for _ in range(allowed + 3)))]

    async def one(gone: bool = False) -> Any:
        async def receive() -> Any:
            if not gone:
                await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        scope = {"type": "http", "method": "GET", "headers": [], "query_string": b"lang=zh"}
        request = Request(scope | {"path_params": {"name": "run.npz", "token": run.token}}, receive)
        response = await handout.handout(request)
        if response.status_code == 503:
            assert "太多" in response.body.decode()
        if hasattr(response, "body_iterator"):
            async for _ in response.body_iterator:
                pass
        return response

    statuses = run_async(crowd())
    assert sorted(statuses) == [200] * allowed + [503] * 3
    assert most[0] <= handout.AT_ONCE
    monkeypatch.setattr(handout, "shown", lambda token: pytest.fail("nobody is there to take it"))
    assert run_async(one(gone=True)).status_code == 404
    assert handout._asked == 0


def saved(run, **changes: Any) -> dict[str, np.ndarray]:
    file = io.BytesIO()
    run.checkpoint().save(file)
    with np.load(io.BytesIO(file.getvalue())) as opened:
        return {name: opened[name] for name in opened.files} | changes


def packed(arrays: dict[str, Any], allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=allow_pickle, **arrays)
    return file.getvalue()


class Bomb:
    """A pickle that would leave a mark when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import app; app.BURST = True",))


def said(arrays: dict[str, np.ndarray], **changes: Any) -> dict[str, Any]:
    """The arrays with something else in what they say."""
    told = json.loads(str(arrays["said"])) | changes
    return arrays | {"said": np.array(json.dumps(told))}


def changed(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


def bomb() -> bytes:
    """A small file that says it holds far more than is allowed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z, z.open("said.npy", "w", force_zip64=True) as entry:
        for _ in range(handout.MOST_BYTES // (1 << 20) + 1):
            entry.write(bytes(1 << 20))
    return file.getvalue()


def lying(run) -> bytes:
    """An array whose head says that it is far longer than what follows."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1 << 34,)})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr("said.npy", head.getvalue() + bytes(100))
    return file.getvalue()


ATTACKS = {
    "nothing": lambda run: b"",
    "rubbish": lambda run: b"\x00" * 1000,
    "half of it": lambda run: packed(saved(run))[:2000],
    "a byte changed": lambda run: changed(packed(saved(run))),
    "a pickle": lambda run: packed(saved(run) | {"optimizer": np.array([Bomb()], object)}, allow_pickle=True),
    "a bomb": lambda run: bomb(),
    "a lie": lying,
    "other shapes": lambda run: packed(saved(run, **{"weights/weight_hh_l0": np.zeros((3, 3))})),
    "a missing weight": lambda run: packed({k: v for k, v in saved(run).items() if k != "weights/head.bias"}),
    "another name": lambda run: packed(saved(run, **{"weights/<script>": np.zeros(3)})),
    "words for numbers": lambda run: packed(saved(run, **{"history/loss": np.array(["a"] * 12)})),
    "a longer history": lambda run: packed(saved(run, **{"history/loss": np.zeros(99)})),
    "no JSON": lambda run: packed(saved(run, said=np.array("{"))),
    "deep JSON": lambda run: packed(saved(run, said=np.array("[" * 100_000))),
    "another format": lambda run: packed(said(saved(run), format=99)),
    "a step before 0": lambda run: packed(said(saved(run), step=-1)),
    "a far step": lambda run: packed(said(saved(run), step=10**12)),
    "no experiment": lambda run: packed(said(saved(run), experiment={"cell": "transformer"})),
    "a huge network": lambda run: packed(
        said(saved(run), experiment=E.model_dump() | {"hidden_size": 4096, "num_layers": 64})
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_damaged_file_is_refused_in_a_sentence(run, attack):
    import app

    data = ATTACKS[attack](run)
    with pytest.raises(ValueError, match="cannot be taken up"):
        handout.taken_up(io.BytesIO(data), len(data))
    assert not hasattr(app, "BURST")


def test_a_large_file_is_not_even_read():
    class Unread(io.BytesIO):
        def read(self, *args: Any) -> bytes:
            raise AssertionError("it was read")

    with pytest.raises(ValueError, match="33 MB; allowed are 32"):
        handout.taken_up(Unread(), (32 << 20) + 1)


def test_lost_weights_can_be_taken_up(run):
    arrays = saved(run)
    arrays["weights/weight_hh_l0"] = np.full_like(arrays["weights/weight_hh_l0"], np.nan)
    data = packed(arrays)
    c = handout.taken_up(io.BytesIO(data), len(data))
    assert np.isnan(c.state_dict["weight_hh_l0"]).all()
    run.start_from(c)
    assert run.settle(60)
    assert run.head()["run"]["diverged"]["step"] == 12


# What a picture says of itself


def test_each_picture_of_a_frame_says_whose_it_is(run):
    _, figures = decode(frame(run, Encoder(), 1, "light", tuple(FIGURES)))
    for name, figure in figures.items():
        source = figure["layout"]["meta"]["source"]
        assert engine.Experiment(**json.loads(source["experiment"])) == E
        assert (source["step"], source["file"]) == (12, f"{E.cell}_{E.task}_T{E.steps}")
        assert source["y"] == export.COLUMNS[name].y
        assert bool(source["value"]) == any("z" in trace for trace in figure["data"])


def test_only_the_step_is_sent_again(run):
    encoder = Encoder()
    frame(run, encoder, 1, "light", ("flow",))
    run.step(13)
    until(lambda: run.head()["run"]["step"] == 13 and run.rests, 20)
    assert b"hidden_size" not in frame(run, encoder, 2, "light", ("flow",))


@pytest.mark.parametrize("part", SMALL)
def test_each_picture_of_a_small_world_has_its_quantities(part):
    values = {**small.DEFAULTS, "part": part}
    found, source = small.look(values), export.source_of_world(part, {n: values[n] for n in small.of_part(part)})
    assert json.loads(source["experiment"])["part"] == part
    for name, draw in SMALL[part].pictures.items():
        figure = export.signed(f"{part}_{name}", draw(found, palette("light")), source)
        said = figure["layout"]["meta"]["source"]
        assert said["y"]
        assert said["value"] or not any("z" in trace for trace in figure["data"])


# The page


def test_the_dialog_has_the_run_and_three_scripts():
    at = page(cell="lstm", task="digits_rows")
    press(at, "take")
    codes = [block.value for block in at.code]
    assert [text.splitlines()[0] for text in codes[1:]] == [
        '"""An LSTM on the task “digits, row by row”, in PyTorch.',
        '"""An LSTM on the task “digits, row by row”, in Keras.',
    ]
    assert 'cell="lstm"' in codes[0]
    said = " ".join(h.value if hasattr(h, "value") else h.proto.body for h in at.get("html"))
    assert f"take/{run_of(at).token}/run.npz" in said
    assert "data/digits.npz" in said
