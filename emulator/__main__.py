"""``python -m emulator`` is the ``kraken-emulator`` command."""

from emulator.cli import main

if __name__ == "__main__":
    main()
