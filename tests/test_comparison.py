"""The comparison as text: what it says beside the figures."""

from seqclv.comparison import prior_ahead, text_table


def document(own, prior):
    """Metrics with the churn log-loss and the count CRPS of network and prior."""
    models = {
        name: {"churn": {"log_loss": loss}, "transactions": {"crps": crps}, "spend": None}
        for name, (loss, crps) in {"seqclv": own, "seqclv_prior": prior}.items()
    }
    return {"cutoff": "2021-07-01", "horizon_days": 90.0, "customers": 300, "models": models}


def test_a_prior_that_forecasts_better_than_the_trained_network_is_named():
    text = text_table(document(own=(0.36, 2.67), prior=(0.26, 2.17)))
    assert "forecast better than the network that did" in text
    assert "0.2600 against 0.3600" in text
    assert "--model prior" in text


def test_a_prior_that_forecasts_no_better_is_not_named():
    assert prior_ahead(document(own=(0.26, 2.17), prior=(0.26, 2.17))) is None
    assert prior_ahead(document(own=(0.26, 2.17), prior=(0.13, 2.18))) is None
    assert prior_ahead(document(own=(0.26, 2.17), prior=(0.25, None))) is None
