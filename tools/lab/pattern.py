"""Bytes that are known by their position: any slice of a stream can be checked without keeping the stream.

A block of random bytes of prime length, repeated, entered at a place that depends on the seed: what is lost, doubled
or moved by anything but a multiple of the block shows in the next bytes.
"""
import random

LENGTH = 1_048_573  # the largest prime below 2^20
_BLOCK = random.Random("holdfast").randbytes(LENGTH)
_DOUBLE = _BLOCK + _BLOCK


def piece(seed, offset, size):
    """At most LENGTH bytes of the stream `seed`, from `offset`."""
    start = (seed * 7_919 + offset) % LENGTH
    return _DOUBLE[start:start + size]


def first_difference(data, seed, offset):
    """Where data differs from the stream at `offset`, None if nowhere."""
    for at in range(0, len(data), LENGTH):
        part = data[at:at + LENGTH]
        wanted = piece(seed, offset + at, len(part))
        if part != wanted:
            return offset + at + next(i for i in range(len(part)) if part[i] != wanted[i])
    return None
