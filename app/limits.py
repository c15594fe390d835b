"""What one visitor may ask of a server that many share: each limit has a default, and a variable of the environment.

`EXPLORER_MAX_RUNS=50 streamlit run app/main.py`; a value that makes no sense stops the start with a sentence. The
largest upload and message are Streamlit's own, in .streamlit/config.toml. No Streamlit in here.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import engine
from engine.cells import KINDS

PREFIX = "EXPLORER_MAX_"


def _limit(default: int, low: int, high: int, meaning: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "meaning": meaning})


@dataclass(frozen=True)
class Limits:
    """Whole numbers. ValueError, with a sentence that names the variable, for one that is out of its range."""

    seq_length: int = _limit(2000, 100, 100_000, "timesteps of a sequence")
    hidden_size: int = _limit(256, 32, 4096, "units of a layer")
    num_layers: int = _limit(4, 1, 4, "layers")
    batch_size: int = _limit(256, 32, 65_536, "sequences of a batch")
    steps: int = _limit(100_000, 100, 100_000, "training steps of a run")
    work: int = _limit(2**21, 2**17, 2**30, "numbers in the hidden states of one pass")
    data: int = _limit(2**23, 2**15, 2**30, "numbers in a training set")
    runs: int = _limit(400, 1, 100_000, "runs on this server: every open tab has one, or a few")
    training: int = _limit(64, 1, 10_000, "runs in training at once; others wait for their turn")
    memory: int = _limit(200, 10, 100_000, "megabytes that a run may keep of closer looks")
    sockets: int = _limit(8, 1, 10_000, "open pictures of one run")
    rooms: int = _limit(20, 1, 1000, "open rooms on this server")
    watchers: int = _limit(200, 1, 5000, "watchers of one room")
    own_data: int = _limit(20, 1, 200, "megabytes of a file of one's own data")
    upload: int = _limit(100, 1, 10_000, "megabytes that one page may hand in")
    uploads: int = _limit(1000, 1, 100_000, "megabytes that all open pages together may have handed in")
    map_points: int = _limit(4000, 9, 100_000, "networks of one map: its cells times its seeds")
    map_seconds: int = _limit(900, 10, 100_000, "seconds of one core that a map may take, about")
    map_known: int = _limit(100_000, 1000, 10_000_000, "networks whose measures are known to all maps")
    commands: int = _limit(150, 10, 10_000, "messages a second that a socket is heard")

    def __post_init__(self) -> None:
        for row in fields(self):
            value, low, high = getattr(self, row.name), row.metadata["low"], row.metadata["high"]
            if type(value) is not int or not low <= value <= high:
                raise ValueError(
                    f"{PREFIX}{row.name.upper()} is {str(value)[:40]!r}: allowed is a whole number from {low:,} to "
                    f"{high:,} ({row.metadata['meaning']})."
                )


def read(environment: Mapping[str, str]) -> Limits:
    """The limits that the environment says. ValueError for a value or a name that makes no sense."""
    known, said = {f"{PREFIX}{row.name.upper()}": row.name for row in fields(Limits)}, dict[str, Any]()
    for name, text in environment.items():
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise ValueError(f"{name} is not a limit: there are {', '.join(known)}.")
        said[known[name]] = int(text) if re.fullmatch(r"[0-9]{1,12}", text.strip()) else text
    return Limits(**said)


LIMITS = read(os.environ)


def seconds(e: engine.Experiment) -> float:
    """What a training step takes on one core, roughly: products, and what is done with each number once."""
    numbers = e.steps * e.sequences * e.num_layers * KINDS[e.kind].sums * e.hidden_size
    return numbers * (6 * e.hidden_size * min(2, e.num_layers) / 4e10 + 1e-8)
