"""Where an address without a page leads: the gallery, or what it speaks of. (Explore was at / once.)"""

from collections.abc import Iterable

from app import small
from app.session import EXTRA

PASSING = ("embed", "embed_options")  # words of Streamlit's, about no page


def page_of(words: Iterable[str]) -> str:
    """The page that these words of an address belong to; "": none, it is the gallery."""
    names = [name for name in words if name not in PASSING and EXTRA.get(name, "one") is not None]
    named = [page for name in names if (page := EXTRA.get(name)) is not None]
    if named or not names:
        return named[0] if named else ""
    return "small" if all(name in small.FIELDS for name in names) else "explore"
