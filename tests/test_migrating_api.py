"""Fitting a classical model in one call, to a log or to an RFM table; saved, loaded and scored like any other."""

import warnings

import pandas as pd
import pyarrow.parquet as pq
import pytest

import seqclv
from seqclv.baselines.classical import KINDS
from seqclv.data.windows import history, instant
from seqclv.training.train import classical_bundle

CUTOFF = "2021-07-01"


@pytest.fixture(scope="module")
def log(small_base):
    return small_base.to_pandas()


@pytest.fixture(scope="module")
def rfm(log):
    return seqclv.rfm_summary(log, CUTOFF)


@pytest.fixture(scope="module")
def model(rfm):
    return seqclv.fit_classical("pareto_nbd", rfm, CUTOFF)


@pytest.mark.parametrize("kind", KINDS)
def test_log_and_table_give_the_model_that_a_comparison_fits(kind, log, rfm, small_events, small_config):
    past = history(small_events, instant(CUTOFF), "1d")
    compared = classical_bundle(
        kind, past, instant(CUTOFF), horizon_days=90, config=small_config, fingerprint="irrelevant"
    )
    for data in (log, rfm):
        bundle = seqclv.fit_classical(kind, data, CUTOFF).bundle
        assert (bundle.kind, bundle.classical, bundle.training) == (kind, compared.classical, compared.training)
        assert bundle.training_cutoff == compared.training_cutoff


def test_a_log_is_a_frame_a_table_or_files_under_any_column_names(log, small_base, small_log, tmp_path):
    expected = seqclv.fit_classical("bg_nbd", log, CUTOFF).bundle
    assert seqclv.fit_classical("bg_nbd", small_base, CUTOFF).bundle == expected
    assert seqclv.fit_classical("bg_nbd", small_log, CUTOFF).bundle == expected
    names = {"customer_id": "who", "timestamp": "when", "amount": "paid"}
    renamed = seqclv.fit_classical("bg_nbd", log.rename(columns=names), CUTOFF, **names)
    assert renamed.bundle.classical == expected.classical
    pd.testing.assert_frame_equal(  # the names are remembered
        renamed.forecast(log.rename(columns=names), CUTOFF),
        seqclv.fit_classical("bg_nbd", log, CUTOFF).forecast(log, CUTOFF),
    )


def test_without_a_cutoff_the_whole_log_is_read(log):
    day_after = log["timestamp"].max().normalize() + pd.Timedelta(days=1)
    whole = seqclv.fit_classical("bg_nbd", log)
    assert whole.bundle == seqclv.fit_classical("bg_nbd", log, day_after).bundle


def test_log_and_table_have_the_same_forecasts(model, log, rfm):
    from_table = model.forecast_rfm(rfm.sample(frac=1, random_state=0), [30, 90])
    pd.testing.assert_frame_equal(from_table, model.forecast(log, CUTOFF, [30, 90]))


@pytest.mark.parametrize(("kind", "fitter"), [("pareto_nbd", "ParetoNBDFitter"), ("bg_nbd", "BetaGeoFitter")])
def test_each_customer_has_the_forecast_of_lifetimes(kind, fitter, rfm):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes
    ours = seqclv.fit_classical(kind, rfm, CUTOFF)
    theirs = getattr(lifetimes, fitter)()
    theirs.params_ = pd.Series(vars(ours.bundle.classical.purchases))
    known = rfm["frequency"], rfm["recency"], rfm["T"]
    forecasts = ours.forecast_rfm(rfm, [90]).set_index("customer_id").loc[rfm.index]
    expected = theirs.conditional_expected_number_of_purchases_up_to_time(90, *known)
    assert forecasts["expected_transactions"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-6)
    alive = theirs.conditional_probability_alive(*known)
    assert forecasts["alive_probability"].to_numpy() == pytest.approx(alive, rel=1e-6)


def test_a_saved_model_is_a_model_for_every_entrance(model, rfm, small_log, tmp_path):
    model.save(tmp_path / "model")
    again = seqclv.load(tmp_path / "model")
    assert again == model
    pd.testing.assert_frame_equal(again.forecast_rfm(rfm), model.forecast_rfm(rfm))
    out = tmp_path / "forecasts.parquet"
    seqclv.score(tmp_path / "model", seqclv.DataConfig(transactions=(str(small_log),)), CUTOFF, [30], out)
    pd.testing.assert_frame_equal(pq.read_table(out).to_pandas(), model.forecast(small_log, CUTOFF, [30]))


def test_the_horizons_asked_for_at_the_fit_are_those_of_a_forecast(rfm):
    model = seqclv.fit_classical("bg_nbd", rfm, CUTOFF, horizons=[60, 7])
    assert model.forecast_rfm(rfm)["horizon_days"].unique().tolist() == [7, 60]


def test_without_amounts_purchases_are_forecast_and_spend_is_unknown(model, rfm, tmp_path):
    blind = seqclv.fit_classical("pareto_nbd", rfm.drop(columns="monetary_value"), CUTOFF)
    blind.save(tmp_path / "model")
    ours = seqclv.load(tmp_path / "model").forecast_rfm(rfm)
    spend = ["expected_spend", "spend_q05", "spend_q50", "spend_q95"]
    assert ours[spend].isna().all().all()
    pd.testing.assert_frame_equal(ours.drop(columns=spend), model.forecast_rfm(rfm).drop(columns=spend))


def test_the_fingerprint_names_the_content_whatever_its_order(model, rfm):
    shuffled = seqclv.fit_classical("pareto_nbd", rfm.sample(frac=1, random_state=1), CUTOFF)
    changed = seqclv.fit_classical("pareto_nbd", rfm.assign(T=rfm["T"] + 1), CUTOFF)
    assert shuffled.bundle.fingerprint == model.bundle.fingerprint != changed.bundle.fingerprint


def test_a_saved_model_names_no_customer(model, rfm, tmp_path):
    model.save(tmp_path / "model")
    written = "".join(path.read_text("utf-8") for path in (tmp_path / "model").iterdir())
    assert not [customer for customer in rfm.index if f'"{customer}"' in written]


def test_a_table_needs_a_cutoff(rfm):
    with pytest.raises(seqclv.InputError, match="does not say when it ends"):
        seqclv.fit_classical("bg_nbd", rfm)


@pytest.mark.parametrize("kind", ["bgnbd", "network", None])
def test_an_unknown_kind_is_refused(kind, rfm):
    with pytest.raises(seqclv.InputError, match="pareto_nbd or bg_nbd"):
        seqclv.fit_classical(kind, rfm, CUTOFF)


def test_a_table_without_age_and_a_log_without_past_are_refused(log, rfm):
    with pytest.raises(seqclv.InputError, match="it lacks T"):
        seqclv.fit_classical("bg_nbd", rfm.drop(columns="T"), CUTOFF)
    with pytest.raises(seqclv.InputError, match="choose a later cutoff"):
        seqclv.fit_classical("bg_nbd", log, "1999-01-01")
    with pytest.raises(seqclv.InputError, match="positive number of days"):
        seqclv.fit_classical("bg_nbd", rfm, CUTOFF, horizons=[0])
