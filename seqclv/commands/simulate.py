"""`seqclv simulate`: write a simulated transaction log."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_output_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet file to write")
    parser.add_argument("--customers", type=int, default=10_000, help="default: 10000")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--start", default="2020-01-01", metavar="DATE", help="first day; default: 2020-01-01")
    parser.add_argument("--days", type=int, default=730, help="span; default: 730")
    parser.add_argument("--mean-events", type=float, default=20.0, help="events per customer; default: 20")
    parser.add_argument(
        "--yearly-season", type=float, default=0.0, metavar="A", help="amplitude of a yearly season, 0 to 1"
    )
    parser.add_argument(
        "--campaign-effect", type=float, default=1.0, metavar="F", help="times as many purchases in weeks of a campaign"
    )
    parser.add_argument("--calendar", metavar="FILE", help="also write the campaigns, a year ahead: date, campaign")
    parser.add_argument("--refund-share", type=float, default=0.0, metavar="SHARE", help="of the purchases")
    parser.add_argument("--attributes", action="store_true", help="add the columns category and channel")
    parser.add_argument(
        "--satisfaction-effect", type=float, default=0.0, metavar="E", help="satisfaction lowers the dropout hazard"
    )
    parser.add_argument(
        "--response-rate", type=float, default=0.0, metavar="SHARE", help="of the purchases that are reviewed"
    )
    parser.add_argument("--only-angry", action="store_true", help="only poor scores are given")
    parser.add_argument("--truth", metavar="FILE", help="also write each customer's true rate, hazard and dropout")
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Simulate and write."""
    from seqclv.data.simulate import SimulationConfig, simulate, write

    simulation = simulate(
        SimulationConfig(
            customers=args.customers,
            seed=args.seed,
            start=args.start,
            days=args.days,
            mean_events=args.mean_events,
            yearly_season=args.yearly_season,
            campaign_effect=args.campaign_effect,
            refund_share=args.refund_share,
            attributes=args.attributes,
            satisfaction_effect=args.satisfaction_effect,
            response_rate=args.response_rate,
            only_angry=args.only_angry,
        )
    )
    write(simulation, Path(args.out), truth=args.truth, calendar=args.calendar)
    events = simulation.transactions.num_rows
    console.show(f"{events:,} events of {args.customers:,} customers are in {args.out}")
    return {"out": args.out, "customers": args.customers, "events": events}
