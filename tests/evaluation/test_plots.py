import itertools
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from seqclv.evaluation.plots import curves_chart, decile_chart, pit_chart, reliability_chart, tracking_chart

DAYS = np.arange("2024-01-01", "2024-07-01", dtype="datetime64[D]")


def title(figure):
    return figure.texts[0].get_text()


def drawn(figure):
    """Every text of a figure that was really drawn, and nothing that leaves the canvas."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    width, height = canvas.get_width_height()
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    for text in texts:
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0 <= box.x1 <= width, text.get_text()
        assert 0 <= box.y0 <= box.y1 <= height, text.get_text()
    return [text.get_text() for text in texts]


def cumulative(share):
    actual = np.cumsum(np.full(len(DAYS), 10.0))
    cutoff = int(np.searchsorted(DAYS, np.datetime64("2024-04-01")))
    forecast = np.full(len(DAYS), np.nan)
    forecast[cutoff:] = actual[cutoff - 1] + share * (actual[cutoff:] - actual[cutoff - 1])
    return actual, forecast


def test_a_long_title_fits_the_plot():
    random = np.random.default_rng(0)
    forecast = np.linspace(1, 2, 400)
    chart = decile_chart(forecast, random.permutation(forecast) * 1.3, "purchases in 273 days")
    assert "steps between groups" in title(chart)
    assert title(chart) in drawn(chart)


def test_a_decile_chart_says_how_far_the_total_is_off():
    forecast = np.arange(1.0, 101.0)
    figure = decile_chart(0.9 * forecast, forecast, "purchases in 90 days")
    assert title(figure) == "The forecast is 10% below the total and puts the groups in the right order"
    assert "100 customers, purchases in 90 days" in drawn(figure)


def test_a_decile_chart_does_not_praise_a_wrong_order():
    actual = np.arange(1.0, 101.0)
    assert title(decile_chart(actual[::-1], actual, "purchases")) == (
        "The forecast meets the total; 0 of 9 steps between groups go the right way"
    )


@pytest.mark.parametrize("customers", [1, 3, 25])
def test_a_decile_chart_of_few_customers_or_no_purchases_is_drawn(customers):
    drawn(decile_chart(np.ones(customers), np.ones(customers), "purchases"))
    empty = decile_chart(np.ones(customers), np.zeros(customers), "purchases")
    assert title(empty) == "Nothing was bought in this window"
    drawn(empty)


def test_a_tracking_chart_names_each_model_with_its_miss():
    actual, close = cumulative(0.98)
    _, far = cumulative(1.10)
    forecasts = {"seqclv": close, "pareto_nbd": far, "bg_nbd": far, "boosting": close, "formula": far}
    texts = drawn(tracking_chart(DAYS, actual, forecasts, "2024-04-01"))
    assert texts[0] == "seqclv forecast 2.0% fewer purchases than the 91 held-out days had"
    assert {"actual +910", "seqclv −2.0%", "Pareto/NBD +10.0%", "formula +10.0%"} <= set(texts)


def test_a_tracking_chart_keeps_its_labels_apart():
    actual, forecast = cumulative(1.0)
    figure = tracking_chart(DAYS, actual, dict.fromkeys(["seqclv", "pareto_nbd", "bg_nbd"], forecast), "2024-04-01")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [Text.get_window_extent(text, canvas.get_renderer()) for text in figure.axes[0].texts]
    boxes.sort(key=lambda box: box.y0)
    assert all(low.y0 + 0.9 * low.height < high.y0 for low, high in itertools.pairwise(boxes))


def test_a_tracking_chart_without_purchases_or_models_is_drawn():
    actual, _ = cumulative(1.0)
    drawn(tracking_chart(DAYS, actual, {}, "2024-04-01"))
    flat = np.full(len(DAYS), 5.0)
    figure = tracking_chart(DAYS, flat, {"seqclv": flat}, "2024-04-01")
    assert title(figure) == "0 purchases in the 91 held-out days"
    drawn(figure)


def test_a_reliability_chart_says_the_mean_gap():
    happened = np.tile([True, False], 500)
    figure = reliability_chart(np.full(1000, 0.6), happened)
    assert "Churn probabilities miss by 10.0 points on average" in drawn(figure)


@pytest.mark.parametrize(
    ("a", "b", "finding"),
    [
        (1, 1, "The forecast distributions are calibrated as far as can be told"),
        (0.5, 0.5, "The forecast distributions are too narrow"),
        (2, 2, "The forecast distributions are too wide"),
        (2, 1, "Actual values lie too high in their forecast distributions"),
        (1, 2, "Actual values lie too low in their forecast distributions"),
    ],
)
def test_a_pit_chart_says_what_is_wrong_with_a_distribution(a, b, finding):
    pit = np.random.default_rng(0).beta(a, b, 2_000)
    texts = drawn(pit_chart(pit, "spend in 90 days"))
    assert texts[0].startswith(f"{finding} (PIT-KS 0.")
    assert texts[1].startswith("2,000 customers, spend in 90 days")


def test_a_pit_chart_of_few_customers_claims_nothing():
    assert title(pit_chart(np.array([0.2, 0.9]), "purchases")).startswith(
        "The forecast distributions are calibrated as"
    )


def test_a_curves_chart_says_which_weights_were_kept():
    curve = [{"train_loss": loss, "val_loss": loss + 0.1} for loss in (2.0, 1.0, 1.5)]
    assert "The 2 networks were best after epochs 2 and 2" in drawn(curves_chart([curve, curve]))
    assert "The network was best after epoch 2" in drawn(curves_chart([curve]))
    assert "No epoch was trained" in drawn(curves_chart([[]]))


def test_plots_leave_no_global_state():
    drawn(curves_chart([[{"train_loss": 1.0, "val_loss": 1.0}]]))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
