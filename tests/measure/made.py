"""A measurement made up for tests of what is told of it."""

from emulator.measure.command import Measured, Measurement, Plan, Rung
from emulator.measure.figures import Figures


def measurement():
    orders = Figures.of([200.0 + place % 50 for place in range(1_000)])
    tier = Measured(tier="colo", path="A<b>", rtt_us=200, floor_us=260, reachable_us=270)
    tier.probes = {"connect": Figures.of([100.0]), "websocket_order": orders}
    tier.cold = {"rest": {"connect": 200.0, "tls": 300.0, "answer": 250.0}}
    rungs = [Rung(rung="packet", tiers=[tier]), Rung(rung="netem", reason="no <module>")]
    return Measurement(
        made="now",
        machine={"system": "A & B", "python": "3", "cpus": 2},
        plan=Plan(tiers=("colo",), rungs=("packet", "netem")),
        rungs=rungs,
    )
