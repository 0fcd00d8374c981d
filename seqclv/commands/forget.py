"""`seqclv forget`: remove customers from store, outputs, resume state and databases, and prove it."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_output_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--customer", nargs="+", default=[], metavar="ID", help="ids as the log has them")
    parser.add_argument("--customers-file", metavar="FILE", help="further ids, one on each line")
    parser.add_argument("--store", metavar="STORE", help="what `seqclv prepare` made")
    parser.add_argument("--forecasts", nargs="+", default=[], metavar="FILE", help="Parquet or CSV of `seqclv score`")
    parser.add_argument("--values", nargs="+", default=[], metavar="FILE", help="Parquet or CSV of `seqclv value`")
    parser.add_argument("--lists", nargs="+", default=[], metavar="DIR", help="directories of `seqclv lists`")
    parser.add_argument(
        "--resume-state", nargs="+", default=[], metavar="DIR", help="of a scoring, where it is not beside --forecasts"
    )
    parser.add_argument("--sql", metavar="URL", help="database that `seqclv score` wrote to; env:NAME holds the URL")
    parser.add_argument("--table", nargs="+", default=[], metavar="NAME", help="of the database")
    parser.add_argument(
        "--pseudonymize-key", metavar="KEY", help="env:NAME or a file: the key of `seqclv prepare`, if ids are hashed"
    )
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Forget, search, show what was found; whatever is left is an error."""
    from seqclv.errors import InputError
    from seqclv.forgetting.run import Places, forget, read_ids
    from seqclv.pseudonyms import read_key

    ids = [*args.customer, *([] if args.customers_file is None else read_ids(Path(args.customers_file)))]
    places = Places(
        store=None if args.store is None else Path(args.store),
        tables=tuple(Path(file) for file in (*args.forecasts, *args.values)),
        lists=tuple(Path(directory) for directory in args.lists),
        resume_states=tuple(Path(directory) for directory in args.resume_state),
        database=args.sql,
        database_tables=tuple(args.table),
    )
    key = None if args.pseudonymize_key is None else read_key(args.pseudonymize_key)
    done = forget(ids, places, key=key, announce=console.say)
    console.show(f"{'removed':>10}{'searched':>10}{'left':>6}  {'kind':<18}place")
    for one in done:
        console.show(f"{one.removed:>10,}{one.searched:>10,}{len(one.left):>6,}  {one.kind:<18}{one.place}")
    left = [one.place for one in done if one.left]
    if left:
        raise InputError(f"Nothing of a forgotten customer may be left, but ids are still found in {', '.join(left)}.")
    console.show("\nNo id is left in any byte or cell that was searched.")
    return {"customers": len(set(ids)), "places": [asdict(one) for one in done], "left": 0}
