"""Files for whoever has none at hand: made by these few lines, so that nobody's data are in them. No Streamlit here."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache

import numpy as np

DAYS, BRACKETS = 1461, 12_000


@cache
def weather() -> bytes:
    """Four years of a town that does not exist: a season, and weather that stays for some days. A CSV."""
    rng = np.random.default_rng(1)
    day = np.arange(DAYS)
    lasting, pressure = 0.0, 0.0
    rows = ["day,temperature,pressure,rain"]
    for n in day:
        pressure = 0.8 * pressure + 4.5 * rng.standard_normal()
        lasting = 0.75 * lasting + 0.08 * pressure + 1.8 * rng.standard_normal()
        mean = 10 - 9 * np.cos(2 * np.pi * (n - 20) / 365.25)
        rain = max(0.0, rng.gamma(0.8, 4.0) - 0.35 * (pressure + 6)) if rng.random() < 0.6 else 0.0
        when = date(2021, 1, 1) + timedelta(days=int(n))
        rows.append(f"{when},{mean + lasting:.1f},{1015 + pressure:.1f},{rain:.1f}")
    return ("\n".join(rows) + "\n").encode()


@cache
def brackets() -> bytes:
    """Brackets of three kinds that open and close in order: whoever closes one must remember which was opened."""
    rng = np.random.default_rng(2)
    open_, written = list[int](), list[str]()
    while len(written) < BRACKETS:
        if open_ and rng.random() < 0.35 + 0.08 * len(open_):
            written.append(")]}"[open_.pop()])
        else:
            open_.append(int(rng.integers(3)))
            written.append("([{"[open_[-1]])
        if not open_:
            written.append(" ")
    return "".join(written).encode()


EXAMPLES: dict[str, Callable[[], bytes]] = {"weather.csv": weather, "brackets.txt": brackets}
