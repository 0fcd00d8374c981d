"""A backtest of the small log, and reports on it and on its model."""

import pytest

from seqclv.api import backtest, make_report
from seqclv.config import DataConfig

CUTOFFS = ["2021-03-01", "2021-07-01"]


@pytest.fixture(scope="session")
def small_backtest(small_config, tmp_path_factory):
    out = tmp_path_factory.mktemp("backtest") / "out"
    backtest(small_config, CUTOFFS, 90, out, quiet=True)
    return out


@pytest.fixture(scope="session")
def small_data(small_log):
    return DataConfig(transactions=(str(small_log),), categorical=("category",))


@pytest.fixture(scope="session")
def model_report(small_backtest, small_data, tmp_path_factory):
    """The page of the last cutoff's model as of the log's end, and its numbers."""
    from seqclv.value.money import Terms

    out = tmp_path_factory.mktemp("report") / "report.html"
    document = make_report(
        out,
        model=small_backtest / CUTOFFS[-1] / "bundle",
        data=small_data,
        cutoff="2022-01-01",
        terms=Terms(margin=0.4, discount_rate=0.1, currency="EUR"),
        horizons_days=(30, 90, 180),
        contacts=20,
    )
    return out, document


@pytest.fixture(scope="session")
def backtest_report(small_backtest, small_data, tmp_path_factory):
    """The page of the backtest with its log, and its numbers."""
    out = tmp_path_factory.mktemp("report") / "backtest.html"
    return out, make_report(out, backtest=small_backtest, data=small_data)
