"""The columns of what this package writes: tables of values and contact lists.

A table of values has one row per customer and horizon, sorted by customer_id (UTF-8 bytes), then horizon; what does
not depend on the horizon is repeated in each of a customer's rows. A null says that the model or the log cannot tell.
Money is in the log's currency; values are discounted to the cutoff. The formulas stand in docs/value.md.
"""

import pyarrow as pa

VALUE_SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("cutoff", pa.timestamp("us")),
        ("horizon_days", pa.float64()),
        ("currency", pa.string()),  # one for the whole table
        # the forecast, as `score` gives it
        ("expected_transactions", pa.float64()),
        ("expected_spend", pa.float64()),  # not discounted, before refunds
        ("churn_probability", pa.float64()),  # P(no purchase within the horizon)
        ("alive_probability", pa.float64()),
        ("never_again_probability", pa.float64()),  # P(no purchase within ten years)
        ("next_purchase_days_q50", pa.float64()),
        # the customer's own predictive variances; the shared error of the level is not in them
        ("transactions_variance", pa.float64()),
        ("spend_variance", pa.float64()),
        ("value_variance", pa.float64()),
        # money up to the horizon
        ("margin_rate", pa.float64()),  # gross margin of the customer's purchases, a share of their amount
        ("discounted_spend", pa.float64()),
        ("contribution", pa.float64()),  # margin_rate x (1 - refund share) x discounted_spend
        ("service_cost", pa.float64()),  # discounted, while the customer is alive
        ("value", pa.float64()),  # contribution - service_cost
        ("value_at_risk", pa.float64()),  # churn_probability x contribution given at least one purchase
        ("textbook_value", pa.float64()),  # margin x average purchase x frequency x horizon: for comparison
        # money without a horizon
        ("residual_value", pa.float64()),  # of all the time after the cutoff
        ("residual_value_variance", pa.float64()),
        ("historic_value", pa.float64()),  # margin x (purchases - refunds) before the cutoff, less service cost
        ("value_from_acquisition", pa.float64()),  # historic and residual, both discounted to the first purchase
        # the history
        ("first_purchase", pa.timestamp("us")),
        ("last_purchase", pa.timestamp("us")),
        ("days_since_last", pa.float64()),
        ("usual_gap_days", pa.float64()),  # median gap between purchases; null for one-time buyers
        ("historic_transactions", pa.float64()),
        ("historic_spend", pa.float64()),
        ("historic_refunds", pa.float64()),
        ("cohort", pa.string()),  # month of the first purchase, such as 2024-07
        # acquisition
        ("channel", pa.string()),
        ("acquisition_cost", pa.float64()),
        ("clv_to_cac", pa.float64()),  # value_from_acquisition / acquisition_cost
        (
            "payback_days",
            pa.float64(),
        ),  # from the first purchase until the cost is earned; null: not within thirty years
        # segments
        ("tier", pa.string()),  # such as platinum, gold, silver, bronze; boundaries are the model's
        ("stage", pa.string()),  # one of STAGES
    ]
)

STAGES = ("new", "active", "cooling", "at_risk", "lost", "returned")

LISTS = ("retention", "growth", "do_not_spend")
GROUPS = ("contact", "control")  # a control is left alone, at random, so that the effect can be measured

LIST_SCHEMA = pa.schema(
    [
        ("list", pa.string()),  # one of LISTS
        ("rank", pa.int64()),  # 1 is the first to contact (or, on do_not_spend, the surest to leave alone)
        ("customer_id", pa.string()),
        ("group", pa.string()),  # one of GROUPS; null on do_not_spend, where nobody is contacted
        ("score", pa.float64()),  # what the list is ranked by, money
        ("reason", pa.string()),  # plain words from the numbers
        ("cutoff", pa.timestamp("us")),
        ("horizon_days", pa.float64()),
        ("currency", pa.string()),
        ("value", pa.float64()),
        ("value_at_risk", pa.float64()),
        ("expected_spend", pa.float64()),
        ("churn_probability", pa.float64()),
        ("days_since_last", pa.float64()),
        ("usual_gap_days", pa.float64()),
        ("tier", pa.string()),
        ("stage", pa.string()),
    ]
)
