"""Bytes of unknown making as text: the encoding is found."""

import codecs
import errno
import os
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.own.said import Refused, Said, file_label, plain, quote

NAMELESS = "data"  # what data without a name are called
MOST_BYTES = 1 << 28  # of a file
LARGEST_FILE = 1 << 32  # that may be asked for
SAMPLE = 1 << 16  # characters, or bytes, from which the form of a file is found
CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x19\x1b-\x1f\x7f\ufffe\uffff]"
)  # no text has them; but for TAB, LF, VT, FF, CR, SUB


@dataclass
class Content:
    """What somebody handed over, as text; `label`: the name of the file."""

    text: str
    label: str
    notes: list[Said] = field(default_factory=list)


def label_of(source: Any) -> str:
    """The name of a file without its folders; "" where it has none."""
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    return file_label(os.path.basename(os.fspath(name)).strip()) if isinstance(name, str | os.PathLike) else ""


def content(source: Any, encoding: str | None = None, label: str | None = None, most: int = MOST_BYTES) -> Content:
    """The text of a path, of bytes or of an open file. Raises Refused (OSError where a path cannot be opened)."""
    label = file_label(label if label is not None else label_of(source))
    shown = quote(label or NAMELESS)
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or not 1 <= most <= LARGEST_FILE:
        raise Refused("choice", name="most_bytes", found=plain(repr(most)), allowed=f"1 to {LARGEST_FILE:,}")
    if not isinstance(encoding, str | None):
        raise Refused("choice", name="encoding", found=plain(repr(encoding)), allowed="utf-8, utf-16, gb18030, latin-1")
    if isinstance(source, str | os.PathLike):
        try:
            with open(source, "rb") as opened:
                data = opened.read(most + 1)
        except (ValueError, OSError) as error:  # a path with NUL, or with half a character; or a text itself
            if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
                raise
            raise Refused("no_text", found=quote(os.fspath(source))) from None
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source[: most + 1])
    elif callable(getattr(source, "read", None)):
        data = source.read(most + 1)
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        if not isinstance(data, bytes | bytearray):
            raise Refused("no_text", found=plain(f"read() gives {type(data).__name__}"))
    else:
        raise Refused("no_text", found=plain(type(source).__name__))
    if len(data) > most:
        whole = most % (1 << 20) == 0
        raise Refused("large" if whole else "large_bytes", file=shown, most=f"{most >> 20 if whole else most:,}")
    text, found = decoded(data, shown, encoding)
    if not text.strip("\x00\x1a \t\r\n\f\v\ufeff"):
        raise Refused("empty", file=shown)
    return Content(text, label, [] if found == "utf-8" else [Said("read_as", encoding=found)])


def decoded(data: bytes, file: str = NAMELESS, encoding: str | None = None) -> tuple[str, str]:
    """The text of these bytes, and the encoding: the one given, or else found. Raises Refused."""
    names = [encoding] if encoding else _encodings(data)
    for name in names:
        if not is_encoding(name):
            raise Refused("unknown_encoding", encoding=quote(name))
        try:
            text = codecs.decode(data, name)
        except UnicodeError as error:
            if encoding:
                at = getattr(error, "start", 0)
                raise Refused("encoding", file=file, encoding=quote(name), at=f"{at:,}") from None
            continue
        text = text.removeprefix("\ufeff").removesuffix("\x1a")
        if len(CONTROLS.findall(text[:SAMPLE])) > len(text[:SAMPLE]) // 100 or "\x00" in text:
            break
        return text, name.removesuffix("-sig")
    raise Refused("binary", file=file)


def is_encoding(name: str) -> bool:
    """Does this name a way to write text? Python's codecs that are none (zlib, bz2, hex) must not begin: a few kB may
    hold gigabytes. Those of names in the internet take the square of a text's length."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):  # a name with NUL, or with letters that are not ASCII
        return False
    return found._is_text_encoding and found.name not in ("idna", "punycode", "undefined")


def _encodings(data: bytes) -> list[str]:
    """What these bytes may be, the likeliest first."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return [name]
    start = data[: SAMPLE & ~1]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) > 0.3 * len(start) / 2 and min(even, odd) < 0.05 * len(start) / 2:  # Latin letters in UTF-16
        return ["utf-16-be" if even > odd else "utf-16-le"]
    return ["utf-8", *(["gb18030"] if _may_be_chinese(data[:SAMPLE]) else []), "cp1252", "latin-1"]


def _may_be_chinese(data: bytes) -> bool:
    """Are there many bytes that are no ASCII, or do they come in runs of even length? Letters with accents are few, and
    mostly stand alone."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", data)]
    return sum(runs) > 0.25 * len(data) or sum(n for n in runs if n % 2 == 0) > 0.7 * sum(runs)
