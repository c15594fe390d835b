"""Every word that a user reads goes through here, in the language of whoever reads it.

Message ids are English sentences with named placeholders. A table holds them marked by N_, and _() is called where they
are drawn: only then is it known who reads. No Streamlit in here; a page says by `ask` how to find its reader.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LANGUAGES = {"en": "English", "zh": "中文"}
LOCALE = Path(__file__).parent / "locale"
_language: ContextVar[str | None] = ContextVar("language", default=None)
_asked: list[Callable[[], str | None]] = []


def language() -> str:
    """The reader's language: as `speak` has said in this thread or task, else as the page knows; "en"."""
    found = _language.get()
    if found is None:
        found = next((name for reader in _asked if (name := reader()) in LANGUAGES), None)
        if found is not None:
            _language.set(found)
    return found or "en"


def speak(name: str) -> None:
    """From now on, in this thread or task, the reader reads this language; what is none of ours is English."""
    _language.set(name if name in LANGUAGES else "en")


def ask(reader: Callable[[], str | None]) -> None:
    """Where nothing was said, `reader` is asked; None: it does not know."""
    _asked.append(reader)


def _(message: str, context: str = "") -> str:
    """The message in the reader's language. `context`: of a word that means several things, which of them is meant."""
    catalogue = _catalogue(language())
    return (context and catalogue.get((context, message))) or catalogue.get(message, message)


def N_(message: str) -> str:
    """Marks a message id for the catalogues; it is translated where it is drawn."""
    return message


def listed(items: Iterable[str]) -> str:
    """One thing after the other, as the reader's language writes a list."""
    return _(", ").join(items)


def clauses(items: Iterable[str]) -> str:
    """One clause after the other, in one sentence."""
    return _("; ").join(items)


def sentences(*said: str) -> str:
    """One sentence after the other; Chinese leaves no room between them."""
    return ("" if language() == "zh" else " ").join(filter(None, said))


class Said:
    """A sentence that is said in one thread and read by many, each in a language of their own: str() of it.

    Values that are texts are translated too, where they are messages.
    """

    def __init__(self, message: str, **values: object) -> None:
        self._message, self._values = message, values

    def __str__(self) -> str:
        values = {name: _(value) if isinstance(value, str) else value for name, value in self._values.items()}
        return _(self._message).format(**values) if self._message else ""


@cache
def _catalogue(name: str) -> dict[str | tuple[str, str], str]:
    """Translations by message id, and by (context, message id)."""
    file = LOCALE / f"{name}.po"
    if not file.exists():
        return {}
    with file.open("rb") as stream:
        found = read_po(stream, locale=name)
    said = [m for m in found if isinstance(m.id, str) and m.id and isinstance(m.string, str) and m.string]
    return {(m.context, str(m.id)) if m.context else str(m.id): str(m.string) for m in said}
