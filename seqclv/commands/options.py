"""Options that several commands share, and the configuration that they and a YAML file give together."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seqclv.config import Config, DataConfig


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """--quiet and --json."""
    group = parser.add_argument_group("output")
    group.add_argument("--quiet", action="store_true", help="nothing but warnings and errors on standard error")
    group.add_argument("--json", action="store_true", help="a machine-readable summary on standard output")


def add_log_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Where the log lies and how its columns are called.

    With `required` the command applies a model, whose columns hold where no others are named: then --config names a
    log, too.
    """
    group = parser.add_argument_group("transaction log")
    if required:
        group.add_argument("--config", metavar="FILE", help="a YAML configuration, of which the data section is read")
    group.add_argument(
        "--transactions",
        nargs="+",
        metavar="P",
        help="Parquet or CSV files, directories, globs, a Delta table, the URL of a database (env:VARIABLE holds one), "
        "a prepared store, or a public log such as dataset:cdnow",
    )
    group.add_argument("--table", metavar="NAME", help="of the database: orders or sales.orders")
    group.add_argument("--query", metavar="SQL", help="to the database, instead of a table")
    group.add_argument("--where", metavar="SQL", help="keep the rows for which this is true: \"code not in ('POST')\"")
    group.add_argument("--customer-id", metavar="COLUMN", help="default: customer_id")
    group.add_argument("--timestamp", metavar="COLUMN", help="default: timestamp")
    group.add_argument("--amount", metavar="COLUMN", help="default: amount")
    group.add_argument(
        "--event-type", metavar="COLUMN", help="the kind of event; default: every row is a transaction line"
    )
    group.add_argument(
        "--timestamp-format", metavar="FORMAT", help="such as %%d.%%m.%%Y; the usual ones are recognized"
    )
    group.add_argument("--decimal", choices=(".", ","), help="mark of decimals in text; , reads 1.234,56; default: .")
    group.add_argument("--numeric", nargs="+", metavar="COLUMN", help="further numeric columns of an event")
    group.add_argument("--categorical", nargs="+", metavar="COLUMN", help="further categorical columns of an event")
    group.add_argument("--do-not-profile", metavar="COLUMN", help="customers for whom it is true are left out entirely")
    group.add_argument("--sensitive", nargs="+", metavar="ATTRIBUTE", help="kept from the model, for audits alone")
    group.add_argument(
        "--merge", metavar="PERIOD", help="lines in one period are one transaction: none, 6h, 1d (default)"
    )
    group.add_argument(
        "--max-reject-share", type=float, metavar="SHARE", help="more rejected rows are an error; default: 0.5"
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """--config, --set, --seed and --accelerator."""
    group = parser.add_argument_group("configuration")
    group.add_argument("--config", metavar="FILE", help="a YAML configuration")
    group.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="change keys, such as model.encoder=transformer"
    )
    group.add_argument("--seed", type=int, metavar="N", help="default: 0")
    group.add_argument("--accelerator", choices=("auto", "cpu", "gpu"), help="default: auto, a GPU if there is one")


def add_devices_option(parser: argparse.ArgumentParser) -> None:
    """--devices."""
    parser.add_argument(
        "--devices", metavar="N", help="GPUs, or processes on the CPU, that train together; auto: all GPUs; default: 1"
    )


def add_start_option(parser: argparse.ArgumentParser) -> None:
    """--from-scratch."""
    parser.add_argument("--from-scratch", action="store_true", help="do not start from the prior that is shipped")


def add_tracking_options(parser: argparse.ArgumentParser) -> None:
    """--tracking-uri."""
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="MLflow; default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db"
    )


_DATA_OPTIONS = (
    "transactions",
    "table",
    "query",
    "where",
    "customer_id",
    "timestamp",
    "amount",
    "event_type",
    "timestamp_format",
    "decimal",
    "numeric",
    "categorical",
    "do_not_profile",
    "sensitive",
    "merge",
    "max_reject_share",
)
_RAW_OPTIONS = ("table", "query", "customer_id", "timestamp", "amount", "event_type", "timestamp_format", "decimal")


def config_of(args: argparse.Namespace) -> "Config":
    """The configuration of --config, changed by --set, changed by the options of their own name."""
    from seqclv.configfile import config_from, read_config, with_values
    from seqclv.errors import InputError

    config = read_config(getattr(args, "config", None), getattr(args, "set", ()))
    values: dict[str, Any] = {"data": _log(config.data, args), **_given(args, ("seed", "accelerator", "devices"))}
    if getattr(args, "tracking_uri", None) is not None:
        values["tracking"] = {"uri": args.tracking_uri}
    if getattr(args, "from_scratch", False):
        values["training"] = {"from_prior": False}
    config = config_from(with_values(config, values), origin="the options")
    if not config.data.named:
        raise InputError("A log is needed, but none is given: name it with --transactions or in the data section.")
    return config


def with_log_columns(config: "Config", args: argparse.Namespace) -> "Config":
    """A trained model's configuration, reading the log that the options or the data section of --config name.

    Columns are as in training where neither says otherwise.
    """
    from seqclv.configfile import config_from, read_config, with_values
    from seqclv.errors import InputError

    if args.config is not None:
        config = replace(config, data=read_config(args.config).data)
    else:
        config = replace(config, data=config.data.without_places())
    config = config_from(with_values(config, {"data": _log(config.data, args)}), origin="the options")
    if not config.data.named:
        raise InputError("A log is needed, but none is given: name it with --transactions or in the data section.")
    return replace(config, data=replace(config.data, require_columns=False))


def _log(data: "DataConfig", args: argparse.Namespace) -> dict[str, Any]:
    """Changes to the data section: a log named by the options takes the place of the one that the section names."""
    from seqclv.data.sql import is_database

    given = _given(args, _DATA_OPTIONS)
    _require_raw(given, given.get("transactions", data.transactions))
    files_alone = "transactions" in given and not any(map(is_database, given["transactions"]))
    if files_alone or "table" in given or "query" in given:  # in place of what the section asks a database
        given = {"query": None, "table": None, **given}
    if "transactions" in given and data.sources:
        plain = data.without_places()
        keep = {
            "sources": (),
            "event_type": plain.event_type,
            "numeric": plain.numeric,
            "categorical": plain.categorical,
        }
        return {**keep, **given}
    return given


def _require_raw(given: dict[str, Any], places: "Sequence[str]") -> None:
    """Refuse options that say how a raw log is read where a prepared store is given: they would do nothing."""
    from seqclv.data.store import is_store
    from seqclv.errors import InputError

    stores = [place for place in places if is_store(place)]
    named = [f"--{name.replace('_', '-')}" for name in _RAW_OPTIONS if name in given]
    if stores and named:
        raise InputError(
            f"{' and '.join(named)} say how a raw log is read, but '{stores[0]}' is a prepared store: leave them out."
            + (" The table of --out is --out-table." if "table" in given else "")
        )


def _given(args: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
