"""The short codes of rooms: how they are made and read, and how many wrong ones are heard. No Streamlit in here."""

import secrets
import threading
import time

LETTERS = "ACDEFHJKMNPQRTUVWXY34679"  # no two that look or sound alike: no B and 8, no S and 5, no O, 0, I, 1, L
LENGTH = 8  # 110 billion codes, of which some twenty are in use
KNOWN = 10_000  # who tried, at most; then those who tried longest ago are forgotten


def new_code() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(LENGTH))


def read_code(text: str) -> str:
    """A code as somebody wrote it; "" where it cannot be one."""
    code = "".join(text.upper().split()).replace("-", "")
    return code if len(code) == LENGTH and set(code) <= set(LETTERS) else ""


def spaced(code: str) -> str:
    """A code as it is shown: in two halves, which do not break apart."""
    return f"{code[: LENGTH // 2]}\u00a0{code[LENGTH // 2 :]}"


class Tries:
    """Wrong codes by who tried them: `most` at once, then `rate` a second. Who has tried more is not heard at all, or
    a right code among the wrong ones would still be told. Any thread may call."""

    def __init__(self, most: int, rate: float) -> None:
        self._most, self._rate = most, rate
        self._wrong: dict[str, tuple[float, float]] = {}  # who -> wrong codes that count, and when that was
        self._lock = threading.Lock()

    def hears(self, who: str) -> bool:
        with self._lock:
            return self._count(who) <= self._most - 1

    def wrong(self, who: str) -> None:
        """They tried one that no room has."""
        with self._lock:
            count = self._count(who) + 1
            self._wrong.pop(who, None)  # to the end of the line
            self._wrong[who] = count, time.monotonic()
            if len(self._wrong) > KNOWN:
                del self._wrong[next(iter(self._wrong))]

    def _count(self, who: str) -> float:
        count, at = self._wrong.get(who, (0.0, 0.0))
        return max(0.0, count - self._rate * (time.monotonic() - at))
