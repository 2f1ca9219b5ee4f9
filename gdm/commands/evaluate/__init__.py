"""Measure what a trained model makes, with numbers that say what they were measured on."""

from __future__ import annotations

from types import ModuleType

from gdm.commands.evaluate import frechet, influence, likelihood, total_correlation, variance

# A module here is a command, written as those of `gdm.commands` are; a line here makes it one of `gdm evaluate`.
COMMANDS: dict[str, ModuleType] = {
    "frechet": frechet,
    "variance": variance,
    "total-correlation": total_correlation,
    "influence": influence,
    "likelihood": likelihood,
}
