"""`seqclv prepare`: validate a log, build a store, report on the data."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_config_options, add_log_options, add_output_options, config_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--out", required=True, metavar="STORE", help="directory to make; an earlier store there is replaced"
    )
    parser.add_argument("--until", metavar="DATE", help="leave out rows at or after this instant")
    parser.add_argument(
        "--append",
        action="store_true",
        help="add the rows to the store at --out, without the raw log it was built from",
    )
    parser.add_argument(
        "--replace-from",
        metavar="DATE",
        help="with --append: forget the store's rows from this instant on, which are delivered again",
    )
    parser.add_argument(
        "--pseudonymize-key",
        metavar="KEY",
        help="replace ids by a keyed hash; env:NAME or a file holds the key, which is not kept",
    )
    add_log_options(parser, required=False)
    add_config_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Build the store and show the report."""
    from seqclv.data.report import DataReport
    from seqclv.data.store import append_store, build_store
    from seqclv.data.windows import instant
    from seqclv.errors import InputError
    from seqclv.pseudonyms import read_key

    config = config_of(args)
    until = None if args.until is None else instant(args.until, what="bound for --until")
    start = None if args.replace_from is None else instant(args.replace_from, what="bound for --replace-from")
    if start is not None and not args.append:
        raise InputError("--replace-from forgets rows of a store, but it is given without --append: give both.")
    key = None if args.pseudonymize_key is None else read_key(args.pseudonymize_key)
    console.say("reading, checking and sorting the log")
    if args.append:
        store = append_store(config.data, Path(args.out), until=until, replace_from=start, key=key)
    else:
        store = build_store(config.data, Path(args.out), until=until, key=key)
    console.show(DataReport(**store.info.report).render())
    console.show(f"The store is in {args.out}")
    return {"out": args.out, "fingerprint": store.fingerprint, "report": dict(store.info.report)}
