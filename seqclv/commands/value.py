"""`seqclv value`: turn forecasts into money."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_log_options, add_output_options, add_tracking_options, with_log_columns

if TYPE_CHECKING:
    from seqclv.calibration import LevelSpread
    from seqclv.tiers import Tiers
    from seqclv.value.money import Terms
    from seqclv.value.run import Plan, Valued


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--model", required=True, metavar="M", help="a bundle directory or an MLflow URI (models:/name@alias)"
    )
    parser.add_argument("--cutoff", required=True, metavar="DATE", help="values are as of this date")
    parser.add_argument(
        "--horizons", nargs="+", type=float, metavar="DAYS", help="default: those of the model, 30 90 365"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet file to write; totals go beside it")
    _add_terms(parser)
    _add_acquisition(parser)
    _add_tiers(parser)
    parser.add_argument(
        "--level-spread",
        nargs=2,
        type=float,
        metavar=("PURCHASES", "SPEND"),
        help="spread of actual / forecast totals over earlier cutoffs, for the intervals of totals; "
        "default: the model's calibration where it has one",
    )
    add_tracking_options(parser)
    add_log_options(parser, required=True)
    add_output_options(parser)


def _add_terms(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("terms")
    group.add_argument("--margin", type=float, default=1.0, metavar="SHARE", help="gross margin; default: 1, revenue")
    group.add_argument(
        "--margin-column", metavar="COLUMN", help="gross margin of each line in money; customers then have their own"
    )
    group.add_argument(
        "--discount-rate", type=float, default=0.1, metavar="RATE", help="per year; default: 0.1, ten per cent"
    )
    group.add_argument(
        "--service-cost", type=float, default=0.0, metavar="MONEY", help="per period while alive; default: 0"
    )
    group.add_argument(
        "--service-cost-period-days", type=float, default=30.0, metavar="DAYS", help="the period; default: 30"
    )
    group.add_argument(
        "--refund-share", type=float, metavar="SHARE", help="of spend that is given back; default: as in the history"
    )
    group.add_argument("--currency", metavar="CODE", help="such as EUR; default: that of the log, else none (XXX)")
    group.add_argument("--currency-column", metavar="COLUMN", help="of the log; more than one currency is refused")
    group.add_argument("--no-residual", action="store_true", help="value the horizons only, not all the time after")


def _add_acquisition(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("acquisition")
    group.add_argument(
        "--acquisition-cost",
        nargs="+",
        metavar="COST",
        help="a CSV file with the columns channel and cost, or CHANNEL=COST ..., or one number for everybody",
    )
    group.add_argument(
        "--channel-column", metavar="COLUMN", help="of the log; its value at the first purchase is the channel"
    )


def _add_tiers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tiers")
    group.add_argument(
        "--set-tiers", action="store_true", help="store boundaries in the model: those of this base or of --tiers-of"
    )
    group.add_argument(
        "--tiers-of", metavar="M", help="use the boundaries of this model, such as the predecessor; default: --model"
    )
    group.add_argument(
        "--previous", metavar="FILE", help="an earlier table of values: customers keep their tier within the tolerance"
    )
    group.add_argument(
        "--tier-tolerance", type=float, default=0.15, metavar="SHARE", help="of a boundary; default: 0.15"
    )
    group.add_argument(
        "--tiers",
        nargs="+",
        metavar="NAME=SHARE",
        help="names and shares of expected spend for --set-tiers; "
        "default: platinum=0.5 gold=0.3 silver=0.15 bronze=0.05",
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Value, write and show."""
    from seqclv.scoring import open_model
    from seqclv.value.log import store_tiers, tiers_home, value_log

    bundle = open_model(args.model, tracking_uri=args.tracking_uri)
    plan = _plan(args, bundle.config.horizons_days)
    data = with_log_columns(bundle.config, args).data
    home = tiers_home(args.model) if args.set_tiers else None
    valued = value_log(bundle, data, plan, Path(args.out), announce=console.say, progress=console.customers)
    if home is not None:
        store_tiers(home, valued.tiers)
        console.say(f"the boundaries of the tiers are stored in {home}")
    console.show(_summary(valued))
    return {"out": args.out, "customers": valued.customers, "rows": valued.rows, **valued.totals}


def _plan(args: argparse.Namespace, horizons: tuple[float, ...]) -> "Plan":
    from seqclv.data.windows import instant
    from seqclv.value.acquisition import read_costs
    from seqclv.value.run import Plan

    names, shares = _tiers(args)
    return Plan(
        cutoff=instant(args.cutoff),
        horizons_days=args.horizons or list(horizons),
        terms=_terms(args),
        costs=read_costs(args.acquisition_cost) if args.acquisition_cost else None,
        spread=_spread(args.level_spread),
        tier_names=names,
        tier_shares=shares,
        new_tiers=args.set_tiers,
        tiers=_tiers_of(args),
        previous=None if args.previous is None else Path(args.previous),
        tier_tolerance=args.tier_tolerance,
    )


def _terms(args: argparse.Namespace) -> "Terms":
    from seqclv.value.money import Terms

    return Terms(
        margin=args.margin,
        margin_column=args.margin_column,
        refund_share=args.refund_share,
        service_cost=args.service_cost,
        service_cost_period_days=args.service_cost_period_days,
        discount_rate=args.discount_rate,
        currency=args.currency,
        currency_column=args.currency_column,
        channel_column=args.channel_column,
        residual=not args.no_residual,
    )


def _spread(given: list[float] | None) -> "LevelSpread | None":
    from seqclv.calibration import LevelSpread
    from seqclv.errors import InputError

    if given is None:
        return None
    if not all(0 <= value < 10 for value in given):
        raise InputError(f"--level-spread takes two shares of at least 0, such as 0.04 0.06, but it was given {given}.")
    return LevelSpread(transactions=given[0], spend=given[1])


def _tiers_of(args: argparse.Namespace) -> "Tiers | None":
    """The boundaries of the model that --tiers-of names."""
    from seqclv.errors import InputError
    from seqclv.scoring import open_model

    if args.tiers_of is None:
        return None
    tiers = open_model(args.tiers_of, tracking_uri=args.tracking_uri).tiers
    if tiers is None:
        raise InputError(f"--tiers-of names a model that has tiers, but {args.tiers_of} has none: use --set-tiers.")
    return tiers


def _tiers(args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and shares of new tiers."""
    from seqclv.errors import InputError
    from seqclv.tiers import NAMES, SHARES

    words = args.tiers
    if words is None:
        return NAMES, SHARES
    if not args.set_tiers or args.tiers_of is not None:
        raise InputError("--tiers is for new boundaries: give it with --set-tiers and without --tiers-of.")
    try:
        pairs = [word.rpartition("=") for word in words]
        return tuple(name for name, _, _ in pairs), tuple(float(share) for _, _, share in pairs)
    except ValueError:
        raise InputError(
            f"--tiers takes NAME=SHARE ..., such as gold=0.5 rest=0.5, but it was given {words}."
        ) from None


def _summary(valued: "Valued") -> str:
    """The totals of the base and of its tiers, for people."""
    from seqclv.value.money import NO_CURRENCY, in_currency

    document = valued.totals
    head = in_currency("value in", document["currency"]).removesuffix(" in")
    lines = [f"{head:<26}{'customers':>10}{'expected':>16}{'9 in 10 between':>32}"]
    for row in document["totals"]:
        wanted = row["quantity"] in ("value", "residual_value") and row["group_by"] in ("base", "tier")
        if not wanted:
            continue
        horizon = "for ever" if row["horizon_days"] is None else f"{row['horizon_days']:g} days"
        between = "-" if row["low"] is None else f"{row['low']:,.0f} and {row['high']:,.0f}"
        name = f"{row['group']}, {horizon}"
        lines.append(f"{name:<26}{row['customers']:>10,}{row['expected']:>16,.2f}{between:>32}")
    if document["currency"] == NO_CURRENCY:
        lines.append("\nThe log names no currency: --currency EUR puts one on the values.")
    if any(row["horizon_days"] is None for row in document["totals"]):
        lines.append(
            "\n'for ever' assumes that customers go on for years as they did in the log: no window can check it."
        )
    if document["level_spread"] is None:
        lines.append("\nThe intervals leave out the error that all customers share: give --level-spread.")
    if not valued.manifest["tiers"]["stored_in_model"]:
        lines.append("\nThe boundaries of the tiers are this base's own: --set-tiers stores them in the model.")
    return "\n".join([*lines, "", f"The values of {valued.customers:,} customers are in {valued.out}"])
