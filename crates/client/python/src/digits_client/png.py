"""Writes grey and coloured pixels as PNG, for arrays where Pillow is not installed, and for notebooks."""

import struct
import zlib

# Channels of a pixel, and the colour type of PNG.
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def encode(pixels: bytes, height: int, width: int, channels: int = 1) -> bytes:
    """A PNG of height × width × channels bytes."""
    stride = width * channels
    # Each row begins with its filter; 0 is none.
    rows = b"".join(b"\0" + pixels[start : start + stride] for start in range(0, height * stride, stride))
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
