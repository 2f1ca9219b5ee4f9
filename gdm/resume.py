"""Beginning a run, and going on with one: what a folder was trained on decides whether it may."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gdm import checkpoint
from gdm.config import flat, from_dict, to_dict
from gdm.errors import ConfigError
from gdm.preparation import Ready
from gdm.version import VERSION

# What may differ when a run goes on: how long it is and how it is watched and computed, not what it computes.
_FREE = (
    "backend",
    "device",
    "training.steps",
    "training.minutes",
    "training.skip_limit",
    "training.accumulate",
    "training.compile",
    "training.shard",
    "training.save_every",
    "training.keep",
    "training.keep_every",
    "training.log_every",
    "training.sample_every",
    "training.sample_steps",
    "data.source",
    "data.workers",
    "data.memory",
)


def open_run(ready: Ready, run: Path, resume: bool) -> tuple[int, dict[str, Any]]:
    """Begin a run or go on with one: return the steps done and what the checkpoint says besides."""
    begun = (run / "run.json").exists()
    ready.world.wait()  # nobody looks after number 0 has written
    if not begun:
        if ready.world.rank == 0:
            checkpoint.write_run(run, _describe(ready))
        ready.world.wait()
        return 0, {}
    if not resume:
        raise ConfigError(f"{run} holds a run; expected a new folder with resume off; remove it or choose another")
    _check_same(ready, run)
    saved = checkpoint.latest(run) if checkpoint.steps(run) else None
    ready.world.wait()
    if ready.world.rank == 0:
        checkpoint.rewind(run, saved.step if saved else 0)
        described = checkpoint.read_run(run)
        checkpoint.write_run(run, {**described, "config": to_dict(ready.config)})  # what may differ, does
    if saved:
        ready.trainer.load_state(saved.tensors)
    return (saved.step, saved.info) if saved else (0, {})


def _describe(ready: Ready) -> dict[str, Any]:
    config, dataset = ready.config, ready.dataset
    return {
        "gdm_version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": to_dict(config),
        "event": list(dataset.shape),
        "classes": list(dataset.classes),
        "data": {"source": config.data.source, "hash": dataset.hash, "count": len(dataset)},
    }


def _check_same(ready: Ready, run: Path) -> None:
    """Refuse to go on with a run of another config or other data."""
    described = checkpoint.read_run(run)
    before, now = flat(from_dict(described["config"])), flat(ready.config)
    for key in sorted(before.keys() | now.keys()):
        if key not in _FREE and before.get(key) != now.get(key):
            raise ConfigError(
                f"{run} was trained with {key} = {before.get(key)!r}, got {now.get(key)!r}; go on with the same "
                "config, or choose another folder (--run)"
            )
    if described["data"]["hash"] != ready.dataset.hash:
        source = described["data"]["source"]
        raise ConfigError(f"{run} was trained on other data ({source}); restore it, or choose another folder (--run)")
