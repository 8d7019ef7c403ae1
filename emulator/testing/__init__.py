"""What tests import: a running emulator, or one in this process, brought into the state that a test wants.

The pytest plugin is in this package, so nothing is imported before it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.testing.control import Control, ControlError
    from emulator.testing.emulator import Emulator, EmulatorError

__all__ = ["Control", "ControlError", "Emulator", "EmulatorError"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'control' if 'Control' in name else 'emulator'}"), name)
