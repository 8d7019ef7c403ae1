"""The trading engines: pure, deterministic state machines.

Nothing here reads a clock, opens a file or a socket, or draws a random number: time, commands and
seeds come from the caller, events go back to it.  ``engine.apply(command, now_ns) -> events``.
"""
