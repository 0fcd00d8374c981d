"""Value a log wherever it lies, and keep the boundaries of tiers in a model."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from seqclv import prior
from seqclv.bundle import Bundle, load_bundle, save_bundle
from seqclv.config import DataConfig
from seqclv.data.apart import require_apart
from seqclv.data.freshness import silence_before
from seqclv.data.windows import to_timestamp
from seqclv.errors import InputError
from seqclv.forecast.chunks import history_chunks
from seqclv.forecast.told import opened
from seqclv.tiers import Tiers
from seqclv.value.log_columns import with_terms
from seqclv.value.run import Plan, Valued, value_store

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
    require_apart(out, data)
    if plan.cutoff < bundle.training_cutoff:
        announce(
            f"warning: the model was trained on events up to {to_timestamp(bundle.training_cutoff)}, after the cutoff "
            f"{to_timestamp(plan.cutoff)}: its forecasts there know the future"
        )
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        store = opened(with_terms(replace(data, require_columns=False), plan.terms), Path(workspace), announce)
        if silence := silence_before(plan.cutoff, (store.first, store.last), store.arrays["timestamp"]):
            announce(silence)
        if bundle.kind == "prior":
            bundle = prior.for_log(bundle, data)
            bundle = prior.shown(bundle, history_chunks(store, plan.cutoff, bundle.merge), plan.cutoff)
            if (warning := prior.few_customers(bundle)) is not None:
                announce(warning)
        with progress(store.customers) if progress else nullcontext(lambda _: None) as advance:
            return value_store(bundle, store, plan, out, advance=advance)


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
