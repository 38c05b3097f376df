"""The command line: thin, says the same words as the library.

This file imports nothing heavy, so that ``seqdis --help`` answers at once; a command's own file is
imported when it is asked for.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from seqdis import __version__
from seqdis.errors import SeqdisError, SettingsError, unknown_name

COMMANDS = {
    "fit": "train a method on a data set or on your own file",
    "evaluate": "run published protocols on fitted runs, with controls",
    "bench": "run a study: methods x data x seeds, then one page of results",
    "report": "write the HTML page of a run",
    "encode": "static and dynamic codes of your own file",
    "swap": "static code of one file with the dynamics of another",
    "list": "methods, datasets, protocols, and what each can do",
    "show": "documentation and settings of one entry",
    "data": "list, check, fetch or locate data sets",
    "cite": "references of a run or an entry",
}

HELP = """seqdis {version}: one static code per sequence, one dynamic code per step

usage: seqdis COMMAND ... [--help]

{commands}

examples:
  seqdis fit dbse moving-figures --out runs/figures
  seqdis evaluate runs/figures swap-fidelity latent-leakage
  seqdis report runs/figures
  seqdis bench examples/table3_mortality.py --jobs 2
  seqdis fit dbse mydata.csv --training.max-epochs 50 --out runs/mine
  seqdis encode runs/mine mydata.csv --out codes.npz

exit status: 0 done, 1 failed, 2 command or settings not understood, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. What a user can mend prints as one line, without a traceback."""
    words = [*(sys.argv[1:] if arguments is None else arguments)]  # list() would be the command's module
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # arrows and dots of tables, where output is not Unicode
    try:
        return _run(words)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: nothing is left to say, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:  # after --help or a wrong flag, where the parser has said why; or of a user's own file
        if stop.code is None or isinstance(stop.code, int):
            return int(stop.code or 0)
        return _failed(stop.code, 1)
    except KeyboardInterrupt:
        goes_on = words[0] in ("fit", "bench", "data")
        return _failed("interrupted." + " Run the same command again to go on." * goes_on, 130)
    except SettingsError as error:
        return _failed(error, 2)
    except SeqdisError as error:
        return _failed(error, 1)
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}" if error.filename else error, 1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        return _failed(f"out of memory: {error}. Use smaller settings or batches.", 1)


def _failed(why: object, status: int) -> int:
    print(f"seqdis: {why}", file=sys.stderr)
    return status


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        table = "\n".join(f"  {name:10s}{what}" for name, what in COMMANDS.items())
        print(HELP.format(version=__version__, commands=table), flush=True)
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"seqdis {__version__}")
        return 0
    # Threads of OpenMP spin at barriers, for how long must be set before torch is imported. Sequences
    # per second of two-thread video training, quiet and beside a busy process: library default 325 and
    # 121, never spinning 225 and 173, this short spin 283 and 157 (benchmarks/video_threads.py).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if arguments[0] not in COMMANDS:
        raise SettingsError(unknown_name("command", arguments[0], COMMANDS))
    # A method, data set or protocol in the current folder is found by its dotted path. Last, so that a
    # file there that is called like an installed module does not replace it.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    importlib.import_module(f"seqdis.cli.{arguments[0]}").run(arguments[1:])
    return 0
