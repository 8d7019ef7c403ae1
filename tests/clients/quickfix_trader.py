"""A QuickFIX initiator as users write one; it runs in a process of its own and does what it is told.

    python -m tests.clients.quickfix_trader SETTINGS.json

Settings: ``place`` (host:port), ``target``, ``comp_id``, ``key``, ``secret`` (none for market data), ``ca``
(none for plain TCP), ``dictionary``, ``reset``.  A line of standard input is ``TYPE|tag=value|…`` to send,
``logout``, or ``drop``; what comes is a line of standard output each, as are ``logon`` and ``logout``.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import tempfile
import time

import quickfix as fix

SOH = "\x01"


def password(settings: dict, number: str, nonce: str) -> str:
    """Return 554 (Kraken's FIX authentication guide)."""
    fields = (
        ("35", "A"),
        ("34", number),
        ("49", settings["comp_id"]),
        ("56", settings["target"]),
        ("553", settings["key"]),
    )
    message = "".join(f"{tag}={value}{SOH}" for tag, value in fields)
    digest = hashlib.sha256((message + nonce).encode()).digest()
    return base64.b64encode(hmac.digest(base64.b64decode(settings["secret"]), digest, "sha512")).decode()


class Trader(fix.Application):
    """Tells all that it hears."""

    def __init__(self, settings: dict) -> None:
        super().__init__()
        self.settings = settings

    def tell(self, line: str) -> None:
        print(line.replace(SOH, "|"), flush=True)

    def onCreate(self, session: fix.SessionID) -> None:
        self.session = session

    def onLogon(self, session: fix.SessionID) -> None:
        self.tell("logon")

    def onLogout(self, session: fix.SessionID) -> None:
        self.tell("logout")

    def toAdmin(self, message: fix.Message, session: fix.SessionID) -> None:
        header = message.getHeader()
        if header.getField(35) == "A" and self.settings["secret"]:
            nonce = str(time.time_ns() // 10**6)
            message.setField(fix.StringField(553, self.settings["key"]))
            message.setField(fix.StringField(554, password(self.settings, header.getField(34), nonce)))
            message.setField(fix.StringField(5025, nonce))

    def fromAdmin(self, message: fix.Message, session: fix.SessionID) -> None:
        self.tell(message.toString())

    def toApp(self, message: fix.Message, session: fix.SessionID) -> None: ...

    def fromApp(self, message: fix.Message, session: fix.SessionID) -> None:
        self.tell(message.toString())


def session_settings(settings: dict, folder: str) -> fix.SessionSettings:
    host, _, port = settings["place"].rpartition(":")
    values = {
        "ConnectionType": "initiator",
        "SocketConnectHost": host,
        "SocketConnectPort": port,
        "SocketNodelay": "Y",
        "ReconnectInterval": "1",
        "HeartBtInt": "30",
        "StartTime": "00:00:00",
        "EndTime": "00:00:00",
        "NonStopSession": "Y",
        "UseDataDictionary": "Y",
        "DataDictionary": settings["dictionary"],
        "ResetOnLogon": "Y" if settings["reset"] else "N",
        "FileStorePath": folder,
    }
    if settings["ca"]:
        values |= {"SSLProtocol": "-all +TLSv1_3", "CertificateVerifyLevel": "1"}
        values |= {"CertificationAuthoritiesFile": settings["ca"]}
    own = fix.Dictionary()
    for name, value in values.items():
        own.setString(name, value)
    result = fix.SessionSettings()
    result.set(fix.SessionID("FIX.4.4", settings["comp_id"], settings["target"]), own)
    return result


def send(trader: Trader, line: str) -> None:
    msg_type, *fields = line.split("|")
    body = "".join(f"{field}{SOH}" for field in fields)
    message = fix.Message()
    message.setString(
        f"8=FIX.4.4{SOH}9=0{SOH}35={msg_type}{SOH}{body}10=000{SOH}",
        False,
        fix.DataDictionary(trader.settings["dictionary"]),
    )
    fix.Session.sendToTarget(message, trader.session)


def main() -> None:
    with open(sys.argv[1]) as file:
        settings = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        trader = Trader(settings)
        all_settings = session_settings(settings, settings.get("store") or folder)
        stores = fix.FileStoreFactory(all_settings)
        make = fix.SSLSocketInitiator if settings["ca"] else fix.SocketInitiator
        initiator = make(trader, stores, all_settings)
        initiator.start()
        for line in sys.stdin:
            line = line.strip()
            if line == "drop":
                os._exit(0)  # as a client that crashes
            if line == "logout":
                break
            send(trader, line)
        initiator.stop()


if __name__ == "__main__":
    main()
