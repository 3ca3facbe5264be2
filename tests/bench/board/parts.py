"""The parts of the scoreboard, in the order in which they are measured."""
from tests.bench.board import connect, failover, forward, growth, https, micro, relays, ring

PARTS = [failover, relays, https, forward, connect, ring, growth, micro]
BY_NAME = {p.NAME: p for p in PARTS}
