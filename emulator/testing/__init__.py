"""What tests import: a running emulator, brought into the state that a test wants."""

from emulator.testing.control import Control, ControlError

__all__ = ["Control", "ControlError"]
