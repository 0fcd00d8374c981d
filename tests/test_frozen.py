"""A bundle that was made once scores the same for ever: today's code reads yesterday's models."""

from pathlib import Path

import pandas as pd

from seqclv.scoring import load

FROZEN = Path(__file__).parent / "frozen"


def test_the_frozen_bundle_scores_as_it_did():
    expected = pd.read_csv(FROZEN / "forecasts.csv", dtype={"customer_id": str}, parse_dates=["cutoff"])
    found = load(FROZEN / "bundle").forecast(str(FROZEN / "log.csv"), "2022-03-01", [30, 365])
    assert list(found.columns[: len(expected.columns)]) == list(expected.columns)
    pd.testing.assert_frame_equal(found[expected.columns], expected, rtol=1e-4, atol=1e-6, check_dtype=False)
