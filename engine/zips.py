"""How long the directory of a zip archive is, before it is read: Python makes an object of each entry, and a file of a
few megabytes can have a hundred thousand of them (APPNOTE.TXT 6.3, sections 4.3.14 to 4.3.16)."""

import struct
from typing import BinaryIO

END, END_64 = b"PK\x05\x06", b"PK\x06\x07"  # the end of the directory, and what stands before it in a large archive
LONGEST_COMMENT = 0xFFFF
FIELDS = struct.Struct("<4s4H2IH")  # signature, disk, its disk, entries here, entries, bytes, offset, comment
LOCATOR = struct.Struct("<4sIQI")  # END_64, disk, offset of the large end, disks
LARGE = struct.Struct("<4sQ2H2I4Q")  # PK\6\6, its size, versions, disks, entries here, entries, bytes, offset
LONGEST_ENTRY = 200  # bytes, on average; 46, the name, and little more in an archive of arrays


def check_directory(file: BinaryIO, most: int) -> None:
    """Leaves the file at its beginning. ValueError where it is no archive, or may have more than `most` entries."""
    size = file.seek(0, 2)
    file.seek(max(0, size - FIELDS.size - LONGEST_COMMENT - LOCATOR.size - LARGE.size))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(END)
    if at < 0 or at + FIELDS.size > len(tail):
        raise ValueError("no end of a zip archive's directory; allowed: a whole .npz file")
    *_, entries, length, _offset, _comment = FIELDS.unpack_from(tail, at)
    large = at - LOCATOR.size
    if large >= 0 and tail.startswith(END_64, large):  # what torch.save writes, too: it stands right before
        _, _, offset, _ = LOCATOR.unpack_from(tail, large)
        large -= LARGE.size
        if large < 0 or offset != size - len(tail) + large or not tail.startswith(b"PK\x06\x06", large):
            raise ValueError("no end of a zip archive's directory; allowed: a whole .npz file")
        *_, entries, length, _offset = LARGE.unpack_from(tail, large)
    if entries > most:
        raise ValueError(f"an archive of {entries:,} arrays; allowed: up to {most:,}")
    if length > most * LONGEST_ENTRY:
        raise ValueError(f"an archive of more than {most:,} arrays; allowed: up to so many")
