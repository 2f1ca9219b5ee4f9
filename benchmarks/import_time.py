"""Time `import gdm` beside `import numpy`, each in fresh processes, in turn; and list what it loads.

    python benchmarks/import_time.py

Goal: at most 0.2 s more than NumPy, and neither torch nor jax among the loaded modules. The exit status
is 1 if either fails. Seconds are those of the import alone, without the start of Python. All bytecode is
compiled beforehand, into a temporary folder, by a first run of each that does not count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

import measure

GOAL = 0.2  # seconds above `import numpy`
FRAMEWORKS = ("torch", "jax", "jaxlib")
CHILD = """
import json, sys, time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted(sys.modules)]))
"""


def run_import(module: str, bytecode: str) -> tuple[float, list[str]]:
    """Import a module in a fresh process: return the seconds it took and all modules then loaded."""
    child = [sys.executable, "-c", CHILD.format(module=module)]
    variables = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    seconds, loaded = json.loads(done.stdout)
    return seconds, loaded


def main() -> int:
    options = measure.parser(__doc__, rounds=21).parse_args()
    times: dict[str, list[float]] = {"numpy": [], "gdm": []}
    loaded: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as bytecode:
        for number in range(options.rounds + 1):
            for module in times:
                seconds, loaded[module] = run_import(module, bytecode)
                if number:
                    times[module].append(seconds)
    more = measure.spread(a - b for a, b in zip(times["gdm"], times["numpy"], strict=True))
    frameworks = [name for name in FRAMEWORKS if name in loaded["gdm"]]
    rows = [
        {"import": module, "seconds": measure.spread(times[module]), "modules": len(loaded[module])} for module in times
    ]
    rows.append({"import": "gdm - numpy", "seconds": more, "modules": len(loaded["gdm"]) - len(loaded["numpy"])})
    where = measure.environment(("numpy", "array-api-compat"), runs=options.rounds, goal=f"{GOAL} s more")
    measure.show(where, rows)
    print(f"Frameworks loaded by gdm: {', '.join(frameworks) or 'none'}.")
    measure.save(options.json, {**where, "frameworks": frameworks}, rows)
    return 1 if frameworks or more.median > GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
