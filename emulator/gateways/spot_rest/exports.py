"""Exports of an account's history: ``AddExport``, ``ExportStatus``, ``RetrieveExport``, ``RemoveExport``."""

import csv
import io
import zipfile
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from emulator.engine.ledger import LedgerEntry, TradeRecord
from emulator.gateways.errors import VenueError, bad_value
from emulator.gateways.export_jobs import LIFE_NS, MOST, PROCESSING_NS, QUEUED_NS, Export
from emulator.gateways.keys import ApiKey
from emulator.gateways.order_params import time_ns
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec, ledgers
from emulator.gateways.spot_rest.account import account_of
from emulator.gateways.turns import in_turns
from emulator.gateways.venue import Venue

FIELDS = {
    "trades": (
        *("ordertxid", "time", "ordertype", "price", "cost", "fee", "vol", "margin", "misc", "ledgers"),
    ),
    "ledgers": (
        *("refid", "time", "type", "subtype", "aclass", "asset", "amount", "fee", "balance", "wallet"),
    ),
}
_FORMATS = {"CSV": ",", "TSV": "\t"}
ROWS_AT_ONCE = 100
"""Rows that are written before others may have a turn."""


class Download(msgspec.Struct, frozen=True):
    """A body that is not JSON."""

    body: bytes
    content_type: str = "application/octet-stream"


def _exports(venue: Venue, key: ApiKey) -> dict[str, Export]:
    return venue.exports.of(key.account)


def _report(params: Params) -> str:
    report = params.required("report")
    if report not in FIELDS:
        raise bad_value("report", report, FIELDS)
    return report


def add_export(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``AddExport``."""
    report, now_ns = _report(params), venue.clock.now_ns()
    kind = (params.get("format") or "CSV").upper()
    if kind not in _FORMATS:
        raise bad_value("format", kind, _FORMATS)
    names = params.names("fields")
    if names and names != ["all"] and not set(names) <= set(FIELDS[report]):
        raise bad_value("fields", names, FIELDS[report])
    month = datetime.fromtimestamp(now_ns // 10**9, UTC).replace(day=1, hour=0, minute=0, second=0)
    start = params.get("starttm")
    end = params.get("endtm")
    export = Export(
        venue.exports.new_id(),
        report,
        params.required("description"),
        kind,
        tuple(FIELDS[report]) if not names or names == ["all"] else tuple(names),
        now_ns,
        int(month.timestamp()) * 10**9 if start is None else time_ns(start, "starttm"),
        now_ns if end is None else time_ns(end, "endtm"),
    )
    own = _exports(venue, key)
    own[export.id] = export
    if len(own) > MOST:
        del own[next(iter(own))]
    return {"id": export.id}


def export_status(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``ExportStatus``."""
    report, now_ns = _report(params), venue.clock.now_ns()
    return [_status(e, now_ns) for e in _exports(venue, key).values() if e.report == report]


def _status(export: Export, now_ns: int) -> dict[str, Any]:
    status = export.status(now_ns)
    done = export.created_ns + PROCESSING_NS if status == "Processed" else 0
    return {
        "id": export.id,
        "descr": export.description,
        "format": export.format,
        "report": export.report,
        "subtype": "all",
        "status": status,
        "flags": "0",
        "fields": ",".join(export.fields),
        "createdtm": _s(export.created_ns),
        "expiretm": _s(export.created_ns + LIFE_NS),
        "starttm": _s(export.created_ns + QUEUED_NS) if status != "Queued" else "0",
        "completedtm": _s(done),
        "datastarttm": _s(export.start_ns),
        "dataendtm": _s(export.end_ns),
        "aclass": "forex",
        "asset": "all",
    }


def _s(time: int) -> str:
    return str(time // 10**9)


def _find(venue: Venue, key: ApiKey, params: Params) -> Export:
    export = _exports(venue, key).get(params.required("id"))
    if export is None:
        raise bad_value("id", params.get("id"), _exports(venue, key))
    return export


def retrieve_export(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``RetrieveExport``: a zip with one file of the report's name.

    A history may be very long, so that others have their turns while it is written.
    """
    export = _find(venue, key, params)
    if export.status(venue.clock.now_ns()) != "Processed":
        raise VenueError("EExport:Not ready", "it is {}", export.status(venue.clock.now_ns()))
    account = account_of(venue, key)
    told = account.ledger if export.report == "ledgers" else account.trades
    return in_turns(_packed(venue, export, list(told.values())))


def _packed(
    venue: Venue, export: Export, history: Sequence[LedgerEntry | TradeRecord]
) -> Generator[None, None, Download]:
    packed, head = io.BytesIO(), ("txid", *export.fields)
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{export.report}.{export.format.lower()}", "w") as file,
        io.TextIOWrapper(file, "utf-8", newline="") as table,
    ):
        writer = csv.writer(table, delimiter=_FORMATS[export.format], lineterminator="\r\n")
        writer.writerow(head)
        for first in range(0, len(history), ROWS_AT_ONCE):
            rows = [
                _row(venue, record)
                for record in history[first : first + ROWS_AT_ONCE]
                if export.start_ns <= record.time_ns <= export.end_ns
            ]
            writer.writerows([row.get(name, "") for name in head] for row in rows)
            yield
    return Download(packed.getvalue())


def _row(venue: Venue, record: LedgerEntry | TradeRecord) -> dict[str, Any]:
    if isinstance(record, LedgerEntry):
        row = ledgers.entry_object(venue, record)
        return row | {"txid": record.id, "time": _stamp(record.time_ns), "wallet": "spot / main"}
    row = codec.trade_object(venue.engine.catalogue.pairs[record.pair], record)
    more = {"txid": record.exec_id, "time": _stamp(record.time_ns), "ledgers": ",".join(record.ledgers)}
    return row | more


def _stamp(time: int) -> str:
    return datetime.fromtimestamp(time // 1000 / 10**6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-2]


def remove_export(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``RemoveExport``: ``delete`` what is ready, ``cancel`` what is not."""
    export, kind = _find(venue, key, params), params.required("type")
    ready = export.status(venue.clock.now_ns()) == "Processed"
    if kind not in ("delete", "cancel") or ready is not (kind == "delete"):
        raise bad_value("type", kind, "delete is for what is ready, cancel for what is not")
    del _exports(venue, key)[export.id]
    return {kind: True}
