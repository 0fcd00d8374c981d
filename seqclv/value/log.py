"""Value a log wherever it lies, and keep the boundaries of tiers in a model."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path

from seqclv.bundle import Bundle, load_bundle, save_bundle
from seqclv.config import DataConfig
from seqclv.data.columns import needed_columns
from seqclv.data.database import connect
from seqclv.data.sources import relations
from seqclv.data.store import is_store, open_log
from seqclv.data.windows import to_timestamp
from seqclv.errors import InputError
from seqclv.tiers import Tiers
from seqclv.value.money import Terms
from seqclv.value.run import CURRENCY, Plan, Valued, value_store, with_terms

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]


def value_log(
    bundle: Bundle,
    data: DataConfig,
    plan: Plan,
    out: Path,
    *,
    announce: Callable[[str], None] = lambda _: None,
    progress: Progress | None = None,
) -> Valued:
    """Value the customers of the log that `data` names; see `seqclv.value.run.value_store`."""
    if out.is_dir():
        raise InputError(f"--out names a file to write, but {out} is a directory: add a file name.")
    if plan.cutoff < bundle.training_cutoff:
        announce(
            f"warning: the model was trained on events up to {to_timestamp(bundle.training_cutoff)}, after the cutoff "
            f"{to_timestamp(plan.cutoff)}: its forecasts there know the future"
        )
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        announce("reading the log")
        plan = replace(plan, terms=_with_currency_column(data, plan.terms))
        store = open_log(with_terms(data, plan.terms), Path(workspace))
        with progress(store.customers) if progress else nullcontext(lambda _: None) as advance:
            return value_store(bundle, store, plan, out, advance=advance)


def _with_currency_column(data: DataConfig, terms: Terms) -> Terms:
    """The terms with the log's column `currency`, where it has one and no other is named."""
    if terms.currency_column is not None or any(is_store(source) for source in data.transactions):
        return terms
    with closing(connect(None)) as connection:
        found = relations(connection, data.transactions, needed_columns(data))
        has_one = bool(found) and all(CURRENCY in relation.names for relation in found)
    return replace(terms, currency_column=CURRENCY) if has_one else terms


def tiers_home(model: str | Path) -> Path:
    """The bundle directory in which boundaries can be stored.

    Raises:
        InputError: the model is not a directory: a registered model never changes.
    """
    if not Path(model).is_dir():
        raise InputError(
            f"Boundaries of tiers are stored in a bundle directory, but --model is {model}: set them there and "
            "register the bundle afterwards."
        )
    return Path(model)


def store_tiers(directory: Path, tiers: Tiers) -> None:
    """Write the boundaries into a bundle; every later valuation with it uses them."""
    save_bundle(load_bundle(directory).with_tiers(tiers), directory)
