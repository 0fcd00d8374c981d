"""The command line: a table of subcommands, exit statuses, no logic.

Exit status: 0 done; 1 unexpected failure; 2 the user's input is wrong; 130 interrupted.
"""

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Sequence

from seqclv.commands.console import Console
from seqclv.commands.interrupts import interrupts
from seqclv.errors import InputError
from seqclv.version import __version__

COMMANDS = {
    "simulate": "write a simulated transaction log",
    "prepare": "validate a log, build a store from it and report on the data",
    "train": "train on a log, compare on the held-out future, log and register",
    "evaluate": "compare a model with all baselines on a held-out future",
    "backtest": "the whole honest experiment: train, score and compare at past cutoffs",
    "register": "register a model in MLflow",
    "score": "forecast every customer of a log",
    "value": "turn forecasts into money: margin, cost, discount, lifetime, totals with intervals",
    "newcomers": "what new customers bring by their attributes, and those who have not bought yet",
    "bridge": "explain what changed between two valuations, to the cent",
    "segments": "count tiers and stages, movements between them, and segments of your own",
    "lists": "make contact lists with reasons, control groups and a budget curve",
    "report": "one page that people read: who, how much, how sure, what to do",
    "why": "which events and attributes moved a forecast",
    "forget": "remove customers from store, outputs and databases, and prove it",
    "feedback-check": "compare what customers say with what is forecast of them",
    "audit": "compare what was forecast with what happened since",
}


def build_parser(names: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser with the options of the given subcommands; the others are listed without theirs."""
    parser = argparse.ArgumentParser(
        prog="seqclv",
        description="Forecast each customer's purchases, spend and churn from transaction histories.",
        epilog="'seqclv COMMAND --help' shows the options of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"seqclv {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        about = summary[0].upper() + summary[1:] + "."
        command = subparsers.add_parser(name, help=summary, description=about, allow_abbrev=False)
        if name in names:
            module = importlib.import_module(f"seqclv.commands.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run, refuse=command.error)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    asked = [word for word in arguments[:1] if word in COMMANDS]
    parser = build_parser(asked)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:  # refused by the command, whose options are then shown
        getattr(args, "refuse", parser.error)(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        with interrupts() as check:
            summary = args.run(args, Console(quiet=args.quiet, json=args.json, check=check))
    except InputError as error:
        return _complain(args.command, str(error), status=2)
    except KeyboardInterrupt:
        return _complain(args.command, "interrupted.", status=130)
    except BrokenPipeError:
        return 1
    except OSError as error:  # a full disk, no permission: nothing to report
        return _complain(args.command, f"the system refuses: {error}.", status=1)
    except Exception as error:  # noqa: BLE001  # whatever it is, the exit status must say so
        traceback.print_exc()
        return _complain(args.command, f"an unexpected failure, please report it: {error}", status=1)
    if args.json:
        print(json.dumps(summary, default=str))
    return 0


def _complain(command: str, message: str, *, status: int) -> int:
    print(f"seqclv {command}: {message}", file=sys.stderr)
    return status
