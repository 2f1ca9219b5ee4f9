"""Sample one trained model in many ways from the same noise, score each, and draw a curve; stopped, it goes on."""

from __future__ import annotations

from types import ModuleType

from gdm.commands.sweep import groups, intervals, orders, steps

COMMANDS: dict[str, ModuleType] = {
    "orders": orders,
    "intervals": intervals,
    "groups": groups,
    "steps": steps,
}
