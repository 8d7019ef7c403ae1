"""What Python imports first in a guarded test or beside a proxy: the guard, then the sitecustomize it has.

Its folder is on PYTHONPATH as long as a test is guarded (../guard.py), and by `kraken-emulator env`.
"""

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [_path for _path in sys.path if os.path.abspath(_path) != _here]
_spec = spec_from_file_location("_kraken_emulator_guard", os.path.join(os.path.dirname(_here), "guard.py"))
if _spec is not None and _spec.loader is not None:
    _guard = sys.modules[_spec.name] = module_from_spec(_spec)
    _spec.loader.exec_module(_guard)
    _guard.guard_this_child()

_ours = sys.modules.pop("sitecustomize")
try:
    import_module("sitecustomize")  # the next one on the path
except ImportError:
    sys.modules["sitecustomize"] = _ours
