"""Replays: runs of an event that was run before, asked for by a person.

A replay is a run of its own on the original event, so that an old event never overwrites newer content. It repeats
no finished effect, tells nothing the log holds already, and takes the decisions that people made the first time.
"""

from __future__ import annotations


def replay_id(process: str, event_seq: int, request_seq: int) -> str:
    """The run that the request at `request_seq` asks for: `quote-to-cash:2:r57`."""
    return f"{process}:{event_seq}:r{request_seq}"


def request_of(run_id: str) -> int:
    """The place in the log of the request that asks for a replay."""
    return int(run_id.rpartition(":r")[2])


def first_run(run_id: str) -> str:
    """The run that a replay repeats; "" for a run that is no replay."""
    first, _, last = run_id.rpartition(":")
    return first if ":" in first and last.startswith("r") and last[1:].isdigit() else ""
