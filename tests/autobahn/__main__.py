"""``make autobahn``: run the suite, say what failed, and fail when anything did.

The suite knows Python 2 only. It is installed in a folder of its own, once, with the pip of a Python 2.7.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections import Counter
from itertools import count
from pathlib import Path

from tests.autobahn.echo import Server

PIP = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--target"]
SUITE = "autobahntestsuite==25.10.1"
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
"""All but 12 and 13: compression is not negotiated."""
TOO_LARGE = [
    *(f"9.{kind}.{number}" for kind in (1, 2) for number in (4, 5, 6)),
    *(f"9.{kind}.{number}" for kind in (3, 4) for number in range(1, 10)),
]
"""Messages of 2 to 16 MiB, which close the connection with 1009."""
GOOD = {"OK", "INFORMATIONAL"}
START = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"


def main() -> None:
    python, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    where = shutil.which(python)
    asked = [where or python, "-c", "import sys, pip; sys.exit(sys.version_info[:2] != (2, 7))"]
    if where is None or subprocess.run(asked, capture_output=True, check=False).returncode:
        sys.exit(f"the suite needs Python 2.7 with pip, and {python} is none (PYTHON2=/path/to/it)")
    if not (folder / "autobahntestsuite").exists():
        print(f"installing {SUITE} in {folder} (once)", flush=True)
        install = [where, *PIP, str(folder), SUITE]
        if subprocess.run(install, check=False).returncode:
            sys.exit(
                f"{SUITE} cannot be installed here; tests/gateways/test_rfc6455.py has its list of cases"
            )
    results = asyncio.run(run(where, folder))
    behaviours = Counter(result["behavior"] for result in results.values())
    print(f"{len(results)} cases: " + ", ".join(f"{count} {name}" for name, count in behaviours.items()))
    failed = [
        f"{case}: {result['behavior']}, close {result['behaviorClose']}"
        for case, result in results.items()
        if not {result["behavior"], result["behaviorClose"]} <= GOOD
    ]
    sys.exit("\n".join(failed) or (None if results else "no case ran"))


async def run(python: str, folder: Path) -> dict[str, dict[str, str]]:
    """Return what became of each case."""
    listener = await Server(b"", count()).listen()
    port = listener.sockets[0].getsockname()[1]
    reports, spec = folder / "reports", folder / "spec.json"
    shutil.rmtree(reports, ignore_errors=True)
    spec.write_text(
        json.dumps(
            {
                "outdir": str(reports),
                "servers": [{"agent": "kraken-emulator", "url": f"ws://127.0.0.1:{port}"}],
                "cases": CASES,
                "exclude-cases": TOO_LARGE,
                "exclude-agent-cases": {},
            }
        )
    )
    suite = await asyncio.create_subprocess_exec(
        *(python, "-c", START, str(folder), "-m", "fuzzingclient", "-s", str(spec)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    await suite.wait()
    listener.close()
    index = reports / "index.json"
    return json.loads(index.read_text())["kraken-emulator"] if index.exists() else {}


if __name__ == "__main__":
    main()
