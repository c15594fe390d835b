"""Every word that a user reads goes through here, so that a translation needs no change of code."""

import gettext


def _(message: str) -> str:
    """The message in the reader's language. Message ids are English sentences with named placeholders."""
    return gettext.gettext(message)
