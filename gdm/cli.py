"""The command line: `gdm COMMAND ...`.

A command is a module of `gdm.commands` with a docstring (its help; the first line is its summary),
`arguments(parser)` and `run(args) -> exit status`; or, for a command of several, a docstring and the table
`COMMANDS`, whose modules are such commands again. Whatever goes wrong on purpose is one line on stderr.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any, NoReturn

from gdm.commands import complete, data, decode, edit, encode, evaluate, explore, info, plot, sample, sweep, train
from gdm.errors import GDMError, nearest
from gdm.version import VERSION

COMMANDS: dict[str, ModuleType] = {
    "train": train,
    "sample": sample,
    "encode": encode,
    "decode": decode,
    "edit": edit,
    "complete": complete,
    "explore": explore,
    "evaluate": evaluate,
    "sweep": sweep,
    "info": info,
    "plot": plot,
    "data": data,
}

# Packages of the `train` extra that a command may find missing; the core works without them.
_EXTRA = ("matplotlib", "PIL", "safetensors", "sklearn", "tqdm")


class UsageError(GDMError):
    """A command line that cannot be understood."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for an error that is explained, 130 for an interrupt."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        with warnings.catch_warnings(), _first_process_speaks(), _termination_interrupts():
            warnings.showwarning = _warn
            return _dispatch(argv)
    except GDMError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _EXTRA:
            raise
        return _fail(f'this needs {error.name}, which is not installed; pip install "gdm[train]"')
    except KeyboardInterrupt:
        print("gdm: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `gdm info RUN | head`: whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if argv[0] == "--version":
        print(f"gdm {VERSION}")
        return 0
    return _run("gdm", COMMANDS, argv)


def _run(program: str, commands: Mapping[str, ModuleType], argv: list[str]) -> int:
    """Run the command that the first word names, with the others; where it holds commands, the next word names one."""
    command = commands.get(argv[0])
    if command is None:
        raise UsageError(f"expected one of {', '.join(commands)}, got {argv[0]!r}{nearest(argv[0], commands)}")
    program, rest = f"{program} {argv[0]}", argv[1:]
    parts: Mapping[str, ModuleType] | None = getattr(command, "COMMANDS", None)
    if parts is None:
        return command.run(_parse(program, command, rest))
    if not rest or rest[0] in ("-h", "--help", "help"):
        print(f"usage: {program} COMMAND ...\n\n{(command.__doc__ or '').strip()}\n\n{_table(parts)}")
        print(f"\n`{program} COMMAND --help` explains each, with examples.")
        return 0
    return _run(program, parts, rest)


def _parse(program: str, command: ModuleType, argv: list[str]) -> argparse.Namespace:
    """Parse the arguments of a command; options and positional arguments may be mixed."""
    parser = _Parser(
        prog=program,
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(parser)
    for word in argv:
        option = word.split("=")[0]
        if option.startswith("--") and option not in parser.options:
            parser.error(f"unknown option {option!r}{nearest(option, parser.options)}")
    return parser.parse_intermixed_args(argv)


class _Parser(argparse.ArgumentParser):
    """Reports errors as everything else does, in one line."""

    @property
    def options(self) -> list[str]:
        return list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def _overview() -> str:
    return f"""usage: gdm COMMAND ...

Groupwise diffusion models: train, sample, edit, look.

{_table(COMMANDS)}

`gdm COMMAND --help` explains each, with examples. A first run, in a few minutes on two CPU cores:

  gdm train examples/configs/digits.toml
  gdm sample runs/digits"""


def _table(commands: Mapping[str, ModuleType]) -> str:
    """Return the commands with their summaries, a line each."""
    width = max(map(len, commands))
    summaries = {name: (command.__doc__ or "").splitlines()[0] for name, command in commands.items()}
    return "\n".join(f"  {name:{width}}  {summary}" for name, summary in summaries.items())


@contextmanager
def _first_process_speaks() -> Iterator[None]:
    """Of the processes of torchrun, or of JAX, let number 0 alone print; errors are every process's own."""
    if os.environ.get("RANK", os.environ.get("JAX_PROCESS_ID", "0")) == "0":
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that it leaves no half-written file; training has its own ways."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"gdm: warning: {message}", file=sys.stderr)


def _fail(message: str) -> int:
    print(f"gdm: {' '.join(message.split())}", file=sys.stderr)
    return 2
