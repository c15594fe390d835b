"""The route /take/{token}/{name}: a run as a file, and a file as a run. Nothing is kept: what goes out is made for its
reader alone, and what comes in is read once. No Streamlit in here."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

import engine
from app.code import START
from app.export import stem
from app.networks import Network, why
from app.registry import RUNS
from app.training import LAST_STEP
from app.words import _, speak
from engine.checkpoint import MOST_ENTRIES
from engine.foreign.files import packed
from engine.zips import check_directory

LARGEST_FILE = 32  # MB that a visitor may hand in: a run of the largest networks here has more, and is for `engine`
MOST_BYTES = 160 << 20  # of it unpacked
AT_ONCE = 2  # files that are made at a time, for all visitors
MOST_WAITING = 20  # further ones: whoever comes then is told to come again
CHUNK = 1 << 18  # bytes
_turn = asyncio.Semaphore(AT_ONCE)
_asked = 0  # files that are made or waited for


def _npz(c: engine.Checkpoint, network: Network | None, file: BinaryIO) -> None:
    c.save(file)


def _weights(suffix: str) -> Callable[[engine.Checkpoint, Network | None, BinaryIO], None]:
    """Those of the step, by PyTorch's names, or by those of the network that the run has begun with."""

    def write(c: engine.Checkpoint, network: Network | None, file: BinaryIO) -> None:
        file.write(weights_out(c, network, suffix))

    return write


def weights_out(c: engine.Checkpoint, network: Network | None, suffix: str) -> bytes:
    """As a file. Where a network has no place for what was trained (a bias), it is one of ours: see `outgrown`."""
    if network is None or outgrown(c, network):
        return packed(c.state_dict, suffix)
    return network.packed(c.state_dict, suffix)


def outgrown(c: engine.Checkpoint, network: Network | None) -> str:
    """Why the weights do not go into the network they came from, in words; "": they do."""
    if network is None:
        return ""
    try:
        network.loaded.export(c.state_dict)
    except ValueError as refused:
        return why(refused)
    return ""


def _start(c: engine.Checkpoint, network: Network | None, file: BinaryIO) -> None:
    """The weights that the run has begun with, by the engine's names: for the scripts."""
    file.write(packed(c.state_dict if network is None else network.state_dict, ".npz"))


def _csv(c: engine.Checkpoint, network: Network | None, file: BinaryIO) -> None:
    """The curves of the history, a row a training step, in all their digits."""
    h = c.history
    names = ("loss", "validation_loss", "lr", "grad_norm", "clipped", "examples")
    lines = [f"# experiment: {c.experiment.model_dump_json()}", f"# step: {c.step}"]
    lines += [f"# from step {step} on: {field} = {after}, before {before}" for step, field, before, after in h.changes]
    lines.append(",".join(("step", *names)))
    curves = [getattr(h, name) for name in names]
    for k, step in enumerate(h.at):
        numbers = (f"{curve[k]:.17g}".replace("nan", "") for curve in curves)
        lines.append(",".join((str(step), *numbers)))
    file.write(("\n".join(lines) + "\n").encode())


# name: its type, who writes it
FILES: dict[str, tuple[str, Callable[[engine.Checkpoint, Network | None, BinaryIO], None]]] = {
    "run.npz": ("application/octet-stream", _npz),
    "curves.csv": ("text/csv; charset=utf-8", _csv),
    "weights.safetensors": ("application/octet-stream", _weights(".safetensors")),
    "weights.npz": ("application/octet-stream", _weights(".npz")),
    START: ("application/octet-stream", _start),
}


def shown(token: str) -> engine.Checkpoint | None:
    """The run at the step that is shown; None where there is none."""
    run = RUNS.get(token)
    if run is None:
        return None
    head = run.head()["run"]
    return run.checkpoint(None if head["following"] else head["step"])


async def handout(request: Request) -> Response:
    """The route."""
    global _asked
    name, token = request.path_params["name"], request.path_params["token"]
    speak(request.query_params.get("lang", ""))
    if name not in FILES or RUNS.get(token) is None:
        return Response(status_code=404)
    if _asked >= AT_ONCE + MOST_WAITING:
        busy = _("Too many files are being made on this server: try again in a minute.")
        return PlainTextResponse(busy, 503, {"Retry-After": "60", "Cache-Control": "no-store"})
    _asked += 1
    try:
        async with _turn:  # who waits holds nothing yet: a run with its history has many MB
            if await request.is_disconnected():
                return Response(status_code=404)  # which nobody reads
            made = await asyncio.to_thread(_made, token, name)
    finally:
        _asked -= 1
    if made is None:
        return Response(status_code=404)
    file, size, stemmed = made
    said = f'attachment; filename="{stemmed}{name}"'
    headers = {"Content-Disposition": said, "Content-Length": str(size), "Cache-Control": "no-store"}
    return StreamingResponse(_chunks(file), media_type=FILES[name][0], headers=headers)


def _made(token: str, name: str) -> tuple[BinaryIO, int, str] | None:
    """The file, from its beginning, how long it is, and what its name begins with; None where there is no run."""
    c, run = shown(token), RUNS.get(token)
    if c is None or run is None:
        return None
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when all of it has been read
    try:
        FILES[name][1](c, run.network, file)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, size, "" if name == START else f"{stem(c.experiment)}_step{c.step}_"


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def taken_up(file: BinaryIO, size: int) -> engine.Checkpoint:
    """The run of a file that somebody hands in, of so many bytes. Raises ValueError with a sentence for readers."""
    if size > LARGEST_FILE << 20:
        most = _("This file has {size} MB; allowed are {most}.")
        raise ValueError(most.format(size=-(-size >> 20), most=LARGEST_FILE))
    try:
        check_directory(file, MOST_ENTRIES)
        c = engine.load_checkpoint(file, MOST_BYTES)
        if c.step > LAST_STEP or len(c.history.at) != c.step:
            raise ValueError(_("Runs here have up to {most} steps, this one {n}.").format(most=LAST_STEP, n=c.step))
        return c
    except (ValueError, OSError) as error:
        why = "".join(c if c.isprintable() else "·" for c in str(error)[:300])
        raise ValueError(_("This file cannot be taken up as a run. {why}").format(why=why)) from None
