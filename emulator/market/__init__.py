"""Everybody else who trades: the contract of a market, the synthetic one, and its past."""
