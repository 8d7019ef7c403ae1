"""A FIX trader: QuickFIX on Kraken's own host and port, placing and cancelling orders."""

import base64
import hashlib
import hmac
import json
import os
import signal
import statistics
import threading
import time

import quickfix as fix

HOST, PORT, TARGET = "colo-london.vip-fix.kraken.com", "4001", "KRAKEN-TRD"
ORDERS, PAUSE_S, REPORT_WITHIN_S = 50, 3.0, 10.0


class Trader(fix.Application):
    """Signs its logon, and knows when each report came."""

    def __init__(self, account: dict) -> None:
        super().__init__()
        self.account = account
        self.session: fix.SessionID | None = None
        self.logged_on = threading.Event()
        self.reported = threading.Event()

    def onCreate(self, session: fix.SessionID) -> None:
        """Keep the session."""
        self.session = session

    def onLogon(self, session: fix.SessionID) -> None:
        """Begin."""
        print("FIX trader: logged on")
        self.logged_on.set()

    def onLogout(self, session: fix.SessionID) -> None:
        """Wait for the next logon."""
        self.logged_on.clear()

    def toAdmin(self, message: fix.Message, session: fix.SessionID) -> None:
        """Sign a logon, as Kraken's FIX guide says."""
        header = message.getHeader()
        if header.getField(35) != "A":
            return
        key, nonce = self.account["key"], str(time.time_ns() // 1_000_000)
        sender = self.account["sender_comp_id"]
        fields = f"35=A\x0134={header.getField(34)}\x0149={sender}\x0156={TARGET}\x01553={key}\x01"
        digest = hashlib.sha256((fields + nonce).encode()).digest()
        signed = hmac.digest(base64.b64decode(self.account["secret"]), digest, "sha512")
        for tag, value in ((553, key), (554, base64.b64encode(signed).decode()), (5025, nonce)):
            message.setField(fix.StringField(tag, value))

    def fromAdmin(self, message: fix.Message, session: fix.SessionID) -> None:
        """Show what is refused before it is looked at."""
        if message.getHeader().getField(35) == "3":
            print("FIX trader: rejected:", message.getField(58))

    def toApp(self, message: fix.Message, session: fix.SessionID) -> None:
        """Let everything go out as it is."""

    def fromApp(self, message: fix.Message, session: fix.SessionID) -> None:
        """Note that a report is there, and show refusals."""
        if message.isSetField(150) and message.getField(150) == "8":
            print("FIX trader: refused:", message.getField(58))
        self.reported.set()

    def ask(self, kind: str, fields: dict[int, str]) -> float | None:
        """Send a message; give the milliseconds until its report, None when there is none."""
        message = fix.Message()
        message.getHeader().setField(fix.StringField(35, kind))
        for tag, value in fields.items():
            message.setField(fix.StringField(tag, value))
        message.setField(fix.TransactTime())
        self.reported.clear()
        began = time.perf_counter()
        fix.Session.sendToTarget(message, self.session)
        reported = self.reported.wait(REPORT_WITHIN_S)
        return (time.perf_counter() - began) * 1e3 if reported else None

    def trade(self) -> float | None:
        """Place an order far from the market and cancel it; give the milliseconds until the first report."""
        order, cancel = (str(time.time_ns() // 1_000 + more) for more in (0, 1))
        terms = {38: "0.1", 40: "2", 44: "1000", 54: "1", 55: "ETH/USD", 59: "1"}
        placed_ms = self.ask("D", {11: order, **terms})
        self.ask("F", {11: cancel, 41: order, 54: "1", 55: "ETH/USD"})
        return placed_ms


def settings(account: dict) -> fix.SessionSettings:
    """Return an initiator's settings."""
    session, every = fix.Dictionary(), fix.SessionSettings()
    for name, value in {
        "ConnectionType": "initiator",
        "SocketConnectHost": HOST,
        "SocketConnectPort": PORT,
        "SocketNodelay": "Y",
        "ReconnectInterval": "2",
        "HeartBtInt": "30",
        "StartTime": "00:00:00",
        "EndTime": "00:00:00",
        "NonStopSession": "Y",
        "ResetOnLogon": "Y",
        "UseDataDictionary": "Y",
        "DataDictionary": "KRAKEN-FIX44.xml",
        "SSLProtocol": "-all +TLSv1_3",
        "CertificationAuthoritiesFile": os.environ["SSL_CERT_FILE"],
        "CertificateVerifyLevel": "1",
    }.items():
        session.setString(name, value)
    every.set(fix.SessionID("FIX.4.4", account["sender_comp_id"], TARGET), session)
    return every


def main() -> None:
    """Trade until stopped."""
    with open(os.environ["KRAKEN_EMULATOR_ENDPOINTS"]) as file:
        account = json.load(file)["accounts"][1]["fix"]
    trader, stores, configured = Trader(account), fix.MemoryStoreFactory(), settings(account)
    initiator = fix.SSLSocketInitiator(trader, stores, configured)
    initiator.start()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # QuickFIX takes Python's away
    try:
        trade(trader)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: engines may pass it on twice
        initiator.stop()  # with a Logout


def trade(trader: Trader) -> None:
    """Place a burst of orders now and then."""
    while True:
        trader.logged_on.wait()
        took_ms = list(filter(None, (trader.trade() for _ in range(ORDERS))))
        if took_ms:
            median_ms = statistics.median(took_ms)
            print(f"FIX trader: {len(took_ms)} orders, reported after {median_ms:.2f} ms (median)")
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
