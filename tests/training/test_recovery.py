"""On customers of known laws the network's forecasts approach those of the true parameters as the base grows."""

from dataclasses import replace

import numpy as np
import pytest

from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.simulate import (
    HAZARD_SCALE_SPANS,
    HAZARD_SHAPE,
    RATE_SHAPE,
    SimulationConfig,
    simulate,
)
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.evaluation.truth import Population, oracle
from seqclv.forecast.forecaster import predict
from seqclv.training.train import train_bundle

SIZES = (300, 1_500, 6_000)
DAYS, HORIZON = 730, 180.0
START, CUTOFF = instant("2020-01-01"), instant("2021-07-01")
DATA = DataConfig(merge="1h")  # nearly every purchase stays an event of its own, as the true process has it


def base(customers, seed):
    """A Pareto/NBD base and its histories before the cutoff."""
    made = simulate(SimulationConfig(customers=customers, seed=seed, days=DAYS, mean_events=8))
    return made, history(events_from_frame(made.transactions, DATA), CUTOFF, DATA.merge)


@pytest.fixture(scope="module")
def judged():
    """2,000 further customers, and what the true parameters expect of them."""
    made, past = base(2_000, seed=100)
    day = (past.timestamp - START) / MICROSECONDS_PER_DAY
    first, last = day[past.offset[:-1]], day[past.offset[1:] - 1]
    mean_rate = made.customers["rate"].to_numpy().mean()
    truth = Population(RATE_SHAPE, RATE_SHAPE / mean_rate, HAZARD_SHAPE, HAZARD_SCALE_SPANS * DAYS, lambda time: time)
    count = np.diff(past.offset) - 1.0
    answer = oracle(truth, count, first, last, (CUTOFF - START) / MICROSECONDS_PER_DAY)
    return past, answer.expected_transactions(HORIZON)


@pytest.fixture(scope="module")
def forecasts(small_config, judged, tmp_path_factory):
    """Expected transactions of the further customers by networks fitted on bases of each size."""
    model = replace(small_config.model, hidden_size=16, query_size=32)
    training = replace(small_config.training, max_steps=500, max_epochs=60)
    config = replace(small_config, model=model, training=training, ensemble=1, data=DATA)
    found = {}
    for size in SIZES:
        work = tmp_path_factory.mktemp("work")
        bundle, _ = train_bundle(
            base(size, seed=7)[1], CUTOFF, horizon_days=HORIZON, config=config, fingerprint="f", work=work, quiet=True
        )
        found[size] = predict(bundle, judged[0], CUTOFF).expected_transactions([HORIZON])[:, 0]
    return found


def log_difference(forecast, truth):
    """Mean absolute difference of the logarithms, over customers of whom the truth expects something."""
    some = truth > 0.05
    return np.abs(np.log(forecast[some] / truth[some])).mean()


def regret(forecast, truth):
    """Kullback-Leibler divergence of Poisson counts with these means, nats for each expected purchase."""
    return np.sum(truth * np.log(truth / forecast) - truth + forecast) / truth.sum()


@pytest.mark.slow
@pytest.mark.parametrize("distance", [log_difference, regret])
def test_forecasts_approach_those_of_the_true_parameters_as_the_base_grows(forecasts, judged, distance):
    few, more, many = (distance(forecasts[size], judged[1]) for size in SIZES)
    assert many < more < few
    assert many < 0.7 * few


@pytest.mark.slow
def test_forecasts_from_a_large_base_are_close_to_those_of_the_true_parameters(forecasts, judged):
    assert log_difference(forecasts[SIZES[-1]], judged[1]) < 0.2
    assert regret(forecasts[SIZES[-1]], judged[1]) < 0.02
    assert forecasts[SIZES[-1]].sum() == pytest.approx(judged[1].sum(), rel=0.1)
