"""`seqclv register`: register a model in MLflow."""

import argparse
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_output_options, add_tracking_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--model", required=True, metavar="M", help="a bundle directory or an MLflow URI (runs:/id/path)"
    )
    parser.add_argument("--name", required=True, metavar="NAME", help="of the registered model")
    parser.add_argument("--alias", metavar="ALIAS", help="such as champion; without it the version gets none")
    add_tracking_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Register and say under which version."""
    from seqclv.api import register

    version = register(args.model, args.name, alias=args.alias, tracking_uri=args.tracking_uri)
    alias = f", alias {args.alias}" if args.alias else ""
    console.show(f"Registered as {args.name} version {version}{alias}: models:/{args.name}/{version}")
    return {"name": args.name, "version": version, "alias": args.alias}
