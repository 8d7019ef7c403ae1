"""Maintenance to come and incidents: over REST and both WebSockets, told live; the older wire has none."""

import json

import pytest

from emulator.gateways.advisories import Advisories, Emergency, Maintenance, Step
from emulator.gateways.wires import Wires
from tests.gateways.test_ws_v1 import V1
from tests.gateways.venue import START_NS, Client

HOUR_S = 3_600
SOON = Maintenance(
    title="Order Entry System Maintenance", expected_start_utc="2026-11-03T22:00:00Z", lasts_s=HOUR_S
)
"""36 hours after the start."""
INCIDENT = Emergency(
    title="Elevated API error rates",
    incident_status="identified",
    impact="critical",
    affected_services=("spot_ws", "spot_rest"),
    started_at_utc="2026-11-02T09:54:11Z",
    next_steps=(
        Step(applies_to=("spot_trading",), type="expected_restart", expected_at_utc="2026-11-02T10:30:00Z"),
    ),
)


@pytest.fixture
def announce(kraken):
    def tell(maintenance=None, emergency=None):
        kraken.venue.advisories.set(kraken.clock.ns, maintenance, emergency)

    return tell


def test_rest_tells_them_at_the_end_of_the_status(kraken, announce):
    status = kraken.public("SystemStatus")
    assert list(status.items()) == [
        *(("status", "online"), ("timestamp", "2026-11-02T10:00:00Z")),
        *(("upcoming_maintenance", []), ("emergency", [])),
    ]
    announce((SOON,), (INCIDENT,))
    status = kraken.public("SystemStatus")
    [event], [incident] = status["upcoming_maintenance"], status["emergency"]
    assert list(event.items()) == [
        *(("event_id", 1), ("title", "Order Entry System Maintenance")),
        ("expected_start_utc", "2026-11-03T22:00:00Z"),
        *(("expected_end_utc", "2026-11-03T23:00:00Z"), ("time_to_start_s", 36 * HOUR_S)),
        *(("phase", "announced"), ("affected_services", ["spot_trading", "spot_fix", "spot_ws"])),
        *(("order_submission", "allowed"), ("recommended_action", "continue")),
        ("cancel_before_utc", "2026-11-03T21:55:00Z"),
        ("source_url", "https://status.kraken.com"),
    ]
    assert list(incident.items()) == [
        *(("event_id", 2), ("title", "Elevated API error rates"), ("incident_status", "identified")),
        *(("impact", "critical"), ("affected_services", ["spot_ws", "spot_rest"])),
        ("started_at_utc", "2026-11-02T09:54:11Z"),
        (
            "next_steps",
            [
                {
                    "applies_to": ["spot_trading"],
                    "type": "expected_restart",
                    "expected_at_utc": "2026-11-02T10:30:00Z",
                }
            ],
        ),
        ("source_url", "https://status.kraken.com"),
    ]
    assert kraken.public("MaintenanceSchedule") == {"events": [event]}


@pytest.mark.parametrize("connect", [Client, V1], ids=["v2", "v1"])
def test_websockets_are_told_live_and_those_who_come_later_first(kraken, announce, connect):
    old = connect(kraken if connect is V1 else kraken.gateway)
    old.take()
    announce((SOON,), (INCIDENT,))
    [frame] = old.take()
    first = json.loads(connect(kraken if connect is V1 else kraken.gateway).raw[0])
    state, at_first = (frame, first) if connect is V1 else (frame["data"][0], first["data"][0])
    assert list(state)[-2:] == list(at_first)[-2:] == ["upcoming_maintenance", "emergency"]
    assert [name for name in at_first if name not in state] in (["connection_id"], ["connectionID"])
    [event], [incident] = state["upcoming_maintenance"], state["emergency"]
    assert list(event) == sorted(event)
    assert list(incident) == sorted(incident)
    assert event["cancel_before_utc"] == "2026-11-03T21:55:00.000000Z"
    assert at_first["upcoming_maintenance"] == [event]
    announce(emergency=())
    [frame] = old.take()
    state = frame if connect is V1 else frame["data"][0]
    assert (state["upcoming_maintenance"], state["emergency"]) == ([event], [])
    kraken.venue.advisories.clear()
    assert len(old.take()) == 1
    kraken.venue.advisories.clear()
    assert old.take() == []


@pytest.mark.parametrize(
    ("seconds_left", "phase", "submission", "action"),
    [
        (72 * HOUR_S, "announced", "allowed", "continue"),
        (86_401, "announced", "allowed", "continue"),
        (86_400, "reminder_24h", "allowed", "continue"),
        (1_740, "approaching_30m", "allowed", "reduce_activity"),
        (300, "imminent_5m", "discouraged", "cancel_open_orders"),
        (30, "final_warning_30s", "blocked", "stop_new_orders"),
    ],
)
def test_event_has_phases_as_its_start_comes_nearer(
    kraken, announce, seconds_left, phase, submission, action
):
    announce((Maintenance(starts_in_s=80 * HOUR_S),))
    kraken.wait(80 * HOUR_S - seconds_left)
    [event] = kraken.public("SystemStatus")["upcoming_maintenance"]
    assert event["time_to_start_s"] == seconds_left
    assert (event["phase"], event["order_submission"], event["recommended_action"]) == (
        *(phase, submission, action),
    )


def test_event_is_told_from_72_hours_before_until_it_starts(kraken, announce):
    announce((Maintenance(starts_in_s=73 * HOUR_S),))
    assert kraken.public("SystemStatus")["upcoming_maintenance"] == []
    assert len(kraken.public("MaintenanceSchedule")["events"]) == 1
    kraken.wait(HOUR_S)
    assert len(kraken.public("SystemStatus")["upcoming_maintenance"]) == 1
    kraken.wait(72 * HOUR_S)
    assert kraken.public("SystemStatus")["upcoming_maintenance"] == []
    assert kraken.public("MaintenanceSchedule") == {"events": []}


def test_resolved_incident_is_not_told(kraken, announce):
    announce(emergency=(Emergency(title="x", incident_status="resolved"), Emergency(title="y")))
    assert [row["title"] for row in kraken.public("SystemStatus")["emergency"]] == ["y"]


@pytest.mark.parametrize("connect", [Client, V1], ids=["v2", "v1"])
def test_older_wire_has_none_of_it(kraken, announce, connect):
    kraken.venue.wires = Wires(status_advisories="off")
    announce((SOON,), (INCIDENT,))
    assert list(kraken.public("SystemStatus")) == ["status", "timestamp"]
    client = connect(kraken if connect is V1 else kraken.gateway)
    first = client.raw[0] if connect is Client else client.raw[0].decode()
    assert (
        first
        == {
            V1: '{"connectionID":17843232920108168701,"event":"systemStatus","status":"online",'
            '"version":"1.9.2"}',
            Client: '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online",'
            '"api_version":"v2","connection_id":11754023117765420033}]}',
        }[connect]
    )
    client.take()
    announce((), ())
    assert client.take() == []


@pytest.mark.parametrize(
    ("maintenance", "problem"),
    [
        (Maintenance(), "either expected_start_utc or starts_in_s"),
        (Maintenance(expected_start_utc="2026-11-03T22:00:00Z", starts_in_s=5), "either"),
        (
            Maintenance(expected_start_utc="tomorrow"),
            r"upcoming_maintenance\[0\].expected_start_utc = 'tomorrow': a time is meant, as in 2026-",
        ),
        (Maintenance(starts_in_s=5, expected_end_utc="2026-11-02T10:00:00Z"), "ends before it starts"),
    ],
)
def test_what_cannot_be_announced_changes_nothing(maintenance, problem):
    advisories = Advisories()
    advisories.set(START_NS, (Maintenance(starts_in_s=5),))
    with pytest.raises(ValueError, match=problem):
        advisories.set(START_NS, (maintenance,))
    assert len(advisories.schedule(START_NS)) == 1
    with pytest.raises(ValueError, match="emergency: 21 at once, 20 at most are meant"):
        advisories.set(START_NS, emergency=(Emergency(title="x"),) * 21)
