"""What pydantic refuses, in sentences that name the field, the value and what is allowed."""

from typing import Any

from pydantic import ValidationError


def sentences(wrong: ValidationError) -> str:
    """All that is wrong."""
    return "; ".join(map(_sentence, wrong.errors()))


def _sentence(error: Any) -> str:
    """One of pydantic's errors. A rule about one field does not name it, one about several does."""
    place = ".".join(map(str, error["loc"]))
    return f"{place}: {error['input']!r:.80}{said(error['msg'])}" if place else str(error["msg"])


def said(message: str) -> str:
    """One of pydantic's messages, to stand behind a value."""
    allowed = message.removeprefix("Input should be ")
    return f": {message}" if allowed == message else f"; allowed: {allowed}"
