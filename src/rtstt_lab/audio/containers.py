"""What must be known of WebM, Ogg and MP4 to start a decoder in the middle of a recording.

Only byte patterns that the specifications fix: where a container's header ends, and where a decoder that has
that header can begin. Everything else is libavformat's. Sources: RFC 9559 (Matroska: Cluster), RFC 3533 (Ogg:
page header), ISO/IEC 14496-12 (``moof`` box).
"""

from __future__ import annotations

from typing import Final

_CLUSTER: Final = bytes.fromhex("1F43B675")
_EBML: Final = bytes.fromhex("1A45DFA3")
_PAGE: Final = b"OggS"
_PAGE_HEADER_BYTES: Final = 14
_BEGINS_WITHIN_PACKET: Final = 0x01
_FIRST_PAGE: Final = 0x02


def restart_point(container: str, data: bytes | bytearray, start: int = 0) -> int | None:
    """Offset of the first place from ``start`` on where a decoder with the header can take up.

    Args:
        container: ``webm`` (a Cluster), ``ogg`` (a page of audio that begins with a whole packet) or ``mp4``
            (a ``moof``).
        data: bytes of the recording.
        start: where to begin looking.
    """
    if container == "webm":
        found = data.find(_CLUSTER, start)
        return None if found < 0 else found
    if container == "mp4":
        found = data.find(b"moof", start + 4)
        return None if found < 0 else found - 4
    while (found := data.find(_PAGE, start)) >= 0 and found + _PAGE_HEADER_BYTES <= len(data):
        flags, granule = data[found + 5], data[found + 6 : found + _PAGE_HEADER_BYTES]
        if granule.strip(b"\0") and not flags & _BEGINS_WITHIN_PACKET:
            return found
        start = found + 1
    return None


def header_point(container: str, data: bytes | bytearray) -> int | None:
    """Offset of the first place where a container begins anew with a header of its own."""
    if container == "mp4":
        found = data.find(b"ftyp") - 4
    elif container == "webm":
        found = data.find(_EBML)
    else:
        found = data.find(_PAGE)
        while 0 <= found < len(data) - 5 and not data[found + 5] & _FIRST_PAGE:
            found = data.find(_PAGE, found + 1)
        if found >= len(data) - 5:
            return None
    return None if found < 0 else found


def header_may_begin(container: str, data: bytes | bytearray) -> bool:
    """Whether a recording begins as its container must; as far as its bytes can tell yet."""
    start, magic = {"webm": (0, _EBML), "ogg": (0, _PAGE), "mp4": (4, b"ftyp")}[container]
    return not data or magic.startswith(bytes(data[start : start + 4]))
