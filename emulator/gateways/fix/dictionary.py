"""The dictionary's names and values, and refusals by QuickFIX in Kraken's words."""

import xml.etree.ElementTree as ET
from functools import cached_property
from pathlib import Path

from emulator.gateways.fix import refusals, wire
from emulator.words import listed

_LABELS = {"OrdType": "OrderType"}
"""What Kraken calls fields in its reject texts, where it is not FIX's name."""


class Dictionary:
    """A QuickFIX data dictionary, read when somebody asks for the first time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _root(self) -> ET.Element:
        return ET.parse(self._path).getroot()  # noqa: S314 - ours

    @cached_property
    def _fields(self) -> dict[str, ET.Element]:
        """Fields by tag."""
        return {field.attrib["number"]: field for field in self._root.iterfind("fields/field")}

    @cached_property
    def _messages(self) -> dict[str, str]:
        return {
            each.attrib["msgtype"]: each.attrib["name"] for each in self._root.iterfind("messages/message")
        }

    def message(self, kind: str) -> str:
        """Return a message's name and type: ``NewOrderSingle (35=D)``."""
        return f"{self._messages.get(kind, 'message')} (35={kind})"

    def meant(self, tag: str, value: str | None) -> str | None:
        """Tell what came in a field, and what may be there; None where nothing came."""
        if value is None:
            return None
        field = self._fields.get(tag)
        if field is None:
            return f"{tag}={value!r:.64}: there is no such field"
        values = [each.attrib["enum"] for each in field.iterfind("value")]
        meant = f"; there are: {listed(values)}" if values else f", of type {field.attrib['type']}"
        return f"{tag}={value!r:.64}{meant}"

    def reworded(self, message: str) -> str:
        """Return a Reject of QuickFIX in Kraken's words, where these are known."""
        fields = wire.fields(message)
        tag, reason = fields.get("371", ""), fields.get("373")
        name = self._fields[tag].attrib["name"] if tag in self._fields else ""
        text = {
            str(refusals.REQUIRED_MISSING): f"Missing mandatory field: {name} ({tag})",
            str(refusals.INCORRECT_VALUE): f"Invalid value for tag {tag}: {_LABELS.get(name, name)}",
        }.get(reason or "")
        if text is None or not tag:
            return message
        content = [
            f"58={text}" if name == "58" else f"{name}={value}" for name, value in wire.pairs(message)[2:-1]
        ]
        return wire.encode(wire.SOH.join(content) + wire.SOH).decode()
