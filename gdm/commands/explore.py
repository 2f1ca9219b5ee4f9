"""Explore a run in a browser: sliders for latents, mixtures, variations.

Serves a page on this machine alone (the loopback address): sample an image or encode one, move the first latents of
a band (Fig. 6 and 8), swap bands with another image (Fig. 7), draw some anew (Fig. 9 and 1c). Ctrl-C ends it.

  gdm explore runs/digits_bands
  gdm explore runs/faces --steps 64 --device cuda --no-browser
"""

from __future__ import annotations

import argparse
import socket
from types import ModuleType

from gdm.commands import add_model, number, one_of, step_budget, whole
from gdm.commands.subjects import SOLVER, add_run, load
from gdm.errors import UnsupportedError, ValueRangeError
from gdm.explorer.workbench import Workbench
from gdm.solver import SOLVERS

STEPS, PORT = 32, 8300  # few steps, so that images follow the sliders


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--port", type=whole, default=PORT, metavar="N", help=f"of the page ({PORT})")
    parser.add_argument("--no-browser", action="store_true", help="do not open one, only say where the page is")
    budget = f"of encoding and decoding, in all or one per group: 16,16,8,8 ({STEPS}, or as many as groups)"
    parser.add_argument("--steps", type=step_budget, metavar="N", help=budget)
    names = f"{', '.join(SOLVERS)} ({SOLVER})"
    parser.add_argument("--solver", type=one_of(SOLVERS), default=SOLVER, metavar="NAME", help=names)
    guidance = "above 1: more like the class; 0: no class (1)"
    parser.add_argument("--guidance", type=number, default=1.0, metavar="W", help=guidance)
    add_model(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load(args)
    page = _page()
    steps = args.steps or max(STEPS, loaded.schedule.k)
    loaded.shares(steps)  # refuses a budget that does not fit the groups, before there is a page
    bench = Workbench(loaded, args.run.resolve().name, steps, args.solver, args.guidance)
    _check_port(page.HOST, args.port)
    print(f"http://{page.HOST}:{args.port} shows {args.run}; Ctrl-C ends it", flush=True)
    page.serve(bench, args.port, browser=not args.no_browser)
    return 0


def _page() -> ModuleType:
    """Return the module of the page. Raises: UnsupportedError if what it is made with is not installed"""
    try:
        from gdm.explorer import page
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("nicegui", "starlette"):
            raise
        remedy = 'pip install "gdm[explore]"'
        raise UnsupportedError(f"this needs {error.name}, which is not installed; {remedy}") from error
    return page


def _check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be had. Raises: ValueRangeError"""
    if not 1 <= port <= 65535:
        raise ValueRangeError(f"--port: expected 1 to 65535, got {port}; leave it out for {PORT}")
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise ValueRangeError(f"--port: {port} cannot be had ({error.strerror}); choose another") from error
