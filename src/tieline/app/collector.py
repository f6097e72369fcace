"""Python's garbage collector, set for a process that keeps many things for a short while.

The defaults look through every object the libraries made, again and again: a third of the hub's time went there
(docs/decisions/0021). What was loaded at the start is never garbage, and cycles are rare enough to wait.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
YOUNGER_ROUNDS = 20


def calm_collector() -> None:
    """Leave out what stands now, and look at what is new less often. Once, when everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNGER_ROUNDS, YOUNGER_ROUNDS)
