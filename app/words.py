"""Every word that a user reads goes through here, so that a translation needs no change of code."""

from gettext import NullTranslations

_ENGLISH = NullTranslations()  # held: gettext.gettext() looks for catalogues on disk at every call, 80 µs each


def _(message: str) -> str:
    """The message in the reader's language. Message ids are English sentences with named placeholders."""
    return _ENGLISH.gettext(message)
