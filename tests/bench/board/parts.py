"""The parts of the scoreboard, in the order in which they are measured."""
from tests.bench.board import forward

PARTS = [forward]
BY_NAME = {p.NAME: p for p in PARTS}
