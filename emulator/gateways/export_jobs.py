"""Exports that accounts have asked for, and how far they are by the venue's clock."""

import msgspec

MOST = 20
"""Most exports that an account may have; the oldest one is forgotten first."""
QUEUED_NS = 10**9
PROCESSING_NS = 2 * 10**9
"""When an export is being written, and when it is ready, after it was asked for."""
LIFE_NS = 14 * 86_400 * 10**9


class Export(msgspec.Struct, frozen=True):
    """One export as it was asked for."""

    id: str
    report: str
    description: str
    format: str
    fields: tuple[str, ...]
    created_ns: int
    start_ns: int
    end_ns: int

    def status(self, now_ns: int) -> str:
        """Return how far it is."""
        age = now_ns - self.created_ns
        return "Queued" if age < QUEUED_NS else "Processing" if age < PROCESSING_NS else "Processed"


class Exports:
    """The exports of all accounts."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Export]] = {}
        self._count = 0

    def of(self, account: str) -> dict[str, Export]:
        """Return an account's exports by id, oldest first."""
        return self._of.setdefault(account, {})

    def forget(self) -> None:
        """Forget all of them; ids go on."""
        self._of.clear()

    def new_id(self) -> str:
        """Return the next id: four letters."""
        self._count += 1
        number = self._count * 7_919 % 26**4
        return "".join(chr(65 + number // 26**power % 26) for power in (3, 2, 1, 0))
