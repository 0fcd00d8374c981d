"""`seqclv score`: forecast every customer of a log."""

import argparse
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_log_options, add_output_options, add_tracking_options, with_log_columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="M",
        help="a bundle directory, an MLflow URI (models:/name@alias), or prior: the network that needs no training",
    )
    parser.add_argument(
        "--cutoff", required=True, metavar="DATE", help="forecasts start here; history is strictly before it"
    )
    parser.add_argument(
        "--horizons", nargs="+", type=float, metavar="DAYS", help="default: those of the model, 30 90 365"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="OUT",
        help="file.parquet, file.csv, or a database such as postgresql://user@host/name, or env:NAME that holds it, "
        "where rows are inserted or updated by customer, cutoff and horizon",
    )
    parser.add_argument("--out-table", metavar="NAME", help="of the database in --out; default: forecasts")
    parser.add_argument(
        "--engine", choices=("local", "spark"), default="local", help="this machine, or PySpark; default: local"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes of the local engine at most; default: one for each core that may be used",
    )
    parser.add_argument(
        "--accelerator", choices=("auto", "cpu", "gpu"), default="auto", help="default: auto, a GPU if there is one"
    )
    add_tracking_options(parser)
    add_log_options(parser, required=True)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Score and write."""
    from seqclv.data.windows import instant
    from seqclv.forecast.engines.local import Execution
    from seqclv.scoring import open_model, score_log

    cutoff = instant(args.cutoff)
    execution = Execution(
        workers=args.workers, accelerator=args.accelerator, progress=console.customers, announce=console.say
    )
    bundle = open_model(args.model, tracking_uri=args.tracking_uri)
    config = with_log_columns(bundle.config, args)
    horizons = args.horizons or list(config.horizons_days)
    place = {"table": args.out_table, "engine": args.engine}
    scored = score_log(bundle, config.data, cutoff, horizons, args.out, execution=execution, **place)
    console.show(scored.summary.render())
    learned = scored.manifest["training_cutoff"]
    if learned is not None:
        console.show(f"\nThe model learned from events before {learned.removesuffix('T00:00:00')} only.")
    console.show(f"\n{scored.rows:,} forecasts of {scored.customers:,} customers are in {scored.out}")
    return {
        "out": scored.out,
        "customers": scored.customers,
        "rows": scored.rows,
        "totals": scored.summary.totals(),
        "manifest": scored.manifest,
    }
