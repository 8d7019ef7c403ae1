"""kraken-emulator: a whole Kraken on one machine, at a distance you choose."""

__version__ = "0.1.0"
