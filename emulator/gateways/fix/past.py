"""What reports of an earlier run are worth: with the venue that sent them its orders and fills are gone.

``--state`` keeps FIX sessions, not the engine.  So a report of an earlier run that tells of a live order or
of a fill is no longer true; that an order is over, and that a request was refused, stays true.
"""

from collections.abc import Iterable

from emulator.gateways.fix import wire
from emulator.gateways.fix.reports import CANCELED, EXPIRED, STATUS

Report = dict[str, str]
"""Fields of an ExecutionReport (8)."""
Sent = Iterable[tuple[int, bytes]]
"""Application messages by number, oldest first; those with number 0 tell where open orders stand, and were
never sent."""
TEXT = "Venue restarted"
_REPORT, _HEAD_BYTES = b"\x0135=8\x01", 48
_SUMS = ("6", "14", "381")
_TAGS = (
    *("6", "11", "14", "17", "37", "38", "39", "40", "44", "54", "55", "58", "59", "60"),
    *("78", "79", "99", "150", "151", "381", "1102", "1138"),
)
"""What a report of an order's end has, in its order."""


def still_true(message: bytes) -> bool:
    """Tell whether a message of an earlier run may be sent again."""
    report = _report(message)
    return report is None or report["150"] in (CANCELED, EXPIRED)


def open_orders(sent: Sent) -> dict[str, Report]:
    """Return the last report of each order that was open after all these, by OrderID."""
    return {order: report for order, (_, report) in _last_reports(sent).items() if not _over(report)}


def unheard_ends(sent: Sent, first: int, last: int) -> list[Report]:
    """Return orders that ended by a fill in ``first`` to ``last``, as one knows them who has not heard it.

    Such a fill cannot be sent again, but its order must not stay open in the client's books.
    """
    sent = list(sent)
    heard = _last_reports((number, message) for number, message in sent if number < first)
    ends = []
    for order, (number, report) in _last_reports(sent).items():
        if first <= number <= last and _over(report) and report["150"] not in (CANCELED, EXPIRED):
            known = heard[order][1] if order in heard else dict.fromkeys(_SUMS, "0.0")
            ends.append(report | {tag: known[tag] for tag in _SUMS})
    return ends


def end(report: Report, exec_id: str, stamp: str) -> str:
    """Return the body of the report that ends an order which stood as ``report`` tells."""
    news = {"17": exec_id, "39": CANCELED, "58": TEXT, "60": stamp, "150": CANCELED, "151": "0.0"}
    fields = report | news
    return "".join([f"{tag}={fields[tag]}\x01" for tag in _TAGS if tag in fields])


def standing(report: Report) -> bytes:
    """Return a report as ``open_orders`` has it, to be kept apart from what was sent."""
    fields = report | {"34": "0"}
    return wire.encode("".join([f"{tag}={fields[tag]}\x01" for tag in fields if tag not in ("8", "9", "10")]))


def _last_reports(sent: Sent) -> dict[str, tuple[int, Report]]:
    found: dict[str, tuple[int, Report]] = {}
    for number, message in sent:
        report = _report(message)
        if report is not None and (report["150"] != STATUS or not number):  # an answer has its question's 11
            found[report["37"]] = number, report
    return found


def _report(message: bytes) -> Report | None:
    return wire.fields(message.decode()) if _REPORT in message[:_HEAD_BYTES] else None


def _over(report: Report) -> bool:
    return report["151"] == "0.0"
