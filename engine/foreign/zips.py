"""How long the directory of a zip archive is, before it is read: Python makes an object of each entry, and a file of a
few megabytes can have a hundred thousand of them (APPNOTE.TXT 6.3, sections 4.3.14 to 4.3.16)."""

import struct
from typing import BinaryIO

END, END_64 = b"PK\x05\x06", b"PK\x06\x07"  # the end of the directory, and what stands before it in a large archive
LONGEST_COMMENT = 0xFFFF
FIELDS = struct.Struct("<4s4H2IH")  # signature, disk, its disk, entries here, entries, bytes, offset, comment
LOCATOR = 20  # bytes of what stands before the end, with END_64 first
LONGEST_ENTRY = 200  # bytes, on average; 46, the name, and little more in an archive of arrays


def check_directory(file: BinaryIO, most: int) -> None:
    """Leaves the file at its beginning. ValueError where it is no archive, or may have more than `most` entries."""
    size = file.seek(0, 2)
    file.seek(max(0, size - FIELDS.size - LONGEST_COMMENT - LOCATOR))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(END)
    if at < 0 or at + FIELDS.size > len(tail):
        raise ValueError("no end of a zip archive's directory; allowed: a whole .npz file")
    *_, entries, length, _offset, _comment = FIELDS.unpack_from(tail, at)
    if entries > most or length > most * LONGEST_ENTRY or END_64 in tail[max(0, at - LOCATOR) : at]:
        raise ValueError(f"an archive of more than {most:,} arrays; allowed: up to so many")
