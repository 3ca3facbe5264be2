"""Bytes that anyone can predict from a seed and an offset: what arrives is checked without keeping it."""
import hashlib

_PERIOD = 1 << 16


class Pattern:
    """A stream of 64 KiB blocks; block i is a keyed permutation of a base block, so that no two are alike."""

    def __init__(self, seed):
        self._base = hashlib.shake_256(str(seed).encode()).digest(2 * _PERIOD)

    def read(self, offset, size):
        out = bytearray()
        while size > 0:
            block, at = divmod(offset, _PERIOD)
            shift = (block * 40503) % _PERIOD
            piece = self._base[shift + at: shift + at + min(size, _PERIOD - at)]
            out += piece
            offset += len(piece)
            size -= len(piece)
        return bytes(out)
