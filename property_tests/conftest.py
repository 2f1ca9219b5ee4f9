"""Settings of the suite: deterministic, one thread per process, and slow only where a law is."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any framework loads: pytest-xdist fills the cores
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")  # tiny programs run once: compiling is all they cost

from hypothesis import HealthCheck, settings

settings.register_profile(
    "gdm",
    deadline=None,  # the first call compiles
    derandomize=True,  # the same examples on every machine: a red build can be rerun
    max_examples=int(os.environ.get("GDM_TEST_EXAMPLES", "20")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gdm")
