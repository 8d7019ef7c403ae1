"""What is logged: everything goes to stderr, from a level on."""

import logging

FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""A line of a venue's log."""


def to_stderr(level: str, form: str) -> None:
    """Log from a level on: ``debug`` (libraries: info), ``info``, ``warning``, ``error``, ``critical``."""
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(least, logging.INFO), format=form)
    logging.getLogger(__package__).setLevel(least)
