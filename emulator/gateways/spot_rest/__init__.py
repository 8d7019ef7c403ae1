"""Spot REST: ``https://api.kraken.com/0/public/…`` and ``/0/private/…``."""
