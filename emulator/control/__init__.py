"""Controlling a venue while it runs: the API on its own port, and its client."""
