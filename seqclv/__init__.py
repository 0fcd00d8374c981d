"""Forecast each customer's purchases, spend and churn from transaction histories.

Everything the command line does is one call away; names are loaded when they are first used, so that
`import seqclv` stays fast.
"""

import importlib
from typing import Any

from seqclv.version import __version__

_EXPORTS = {
    "audit": "seqclv.api",
    "Config": "seqclv.config",
    "DataConfig": "seqclv.config",
    "InputError": "seqclv.errors",
    "SimulationConfig": "seqclv.data.simulate",
    "backtest": "seqclv.api",
    "dataset": "seqclv.data.datasets",
    "evaluate": "seqclv.pipeline",
    "fit_classical": "seqclv.scoring",
    "load": "seqclv.scoring",
    "make_report": "seqclv.api",
    "newcomers": "seqclv.api",
    "prepare": "seqclv.api",
    "read_config": "seqclv.configfile",
    "register": "seqclv.api",
    "rfm_summary": "seqclv.baselines.rfm",
    "score": "seqclv.api",
    "simulate": "seqclv.data.simulate",
    "train": "seqclv.pipeline",
    "value_customers": "seqclv.api",
    "why": "seqclv.api",
}

__all__ = ["__version__", *sorted(_EXPORTS)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'seqclv' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
