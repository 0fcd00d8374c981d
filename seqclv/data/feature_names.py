"""Plain names of the features: one for each column, in the order in which `seqclv.data.features` makes them.

Several columns share a name, as all that says how often a customer buys is 'frequency'. Letters: see `seqclv.batch`.
"""

from seqclv.batch import FeatureSchema
from seqclv.data.events import FIRST_FURTHER_TYPE, PURCHASE, REFUND, ZERO, Events

RECENCY = "recency"
FREQUENCY = "frequency"
AGE = "time as a customer"
TREND = "trend"
AMOUNTS = "amounts"
REFUNDS = "refunds"
SEASON = "season"
HISTORY = "history of events"

WORDS = {
    RECENCY: "days since the last purchase and the last event, beside the customer's usual gap",
    FREQUENCY: "number of purchases so far and the gaps between them",
    AGE: "days since the first purchase",
    TREND: "purchases of late beside earlier ones",
    AMOUNTS: "what purchases amount to, so far and of late",
    REFUNDS: "number of refunds",
    SEASON: "the day of the year on which the forecast begins",
    HISTORY: "kinds, order and timing of the single events",
}

ANCHOR_NAMES = (FREQUENCY, AMOUNTS, AGE)  # the last axis of `EventBatch.anchor`
TREND_NAMES = (TREND, AMOUNTS)  # the rows of `EventBatch.trend`


def attribute(name: str) -> str:
    """The name of what an attribute of events or customers contributes."""
    return f"attribute '{name}'"


def further_type(name: str) -> str:
    """The name of what the number of events of a further kind contributes."""
    return f"events '{name}'"


def in_words(name: str) -> str:
    """A sentence's worth of what stands behind a name."""
    if name in WORDS:
        return WORDS[name]
    return "how many of them, and when" if name.startswith("events ") else "its values, and whether it is known"


def query_names(schema: FeatureSchema) -> tuple[str, ...]:
    """[D] names of the columns of `query_features`."""
    timing = [AGE, RECENCY, FREQUENCY, FREQUENCY, RECENCY, FREQUENCY, FREQUENCY, RECENCY]
    trailing = [TREND, AMOUNTS] * len(schema.trailing_windows_days)
    further = [further_type(name) for name in schema.event_types for _ in range(2)]
    return (*timing, *[AMOUNTS] * 3, *trailing, REFUNDS, RECENCY, *further, *[SEASON] * (2 * (schema.harmonics > 0)))


def event_names(schema: FeatureSchema) -> tuple[str, ...]:
    """[F] names of the numeric columns of `event_features`: gap, age, first, amount, weekday, day of the year, ..."""
    calendar = [HISTORY] * (2 + 2 * (schema.harmonics > 0))
    attributes = [attribute(feature.name) for feature in schema.numeric for _ in range(2)]
    return (HISTORY, HISTORY, HISTORY, AMOUNTS, *calendar, *attributes)


def event_code_names(schema: FeatureSchema) -> tuple[str, ...]:
    """[G] names of the categorical columns of `event_features`."""
    return (HISTORY, *(attribute(feature.name) for feature in schema.categorical))


def static_names(schema: FeatureSchema) -> tuple[str, ...]:
    """[2 A] names of the numeric columns of `static_features`."""
    return tuple(attribute(feature.name) for feature in schema.static_numeric for _ in range(2))


def static_code_names(schema: FeatureSchema) -> tuple[str, ...]:
    """[T] names of the categorical columns of `static_features`."""
    return tuple(attribute(feature.name) for feature in schema.static_categorical)


def kind_of_event(events: Events, index: int) -> str:
    """What an event is called: purchase, refund, zero, or its further kind."""
    code = int(events.event_type[index])
    built_in = {PURCHASE: "purchase", REFUND: "refund", ZERO: "zero"}
    return built_in[code] if code in built_in else events.further_types[code - FIRST_FURTHER_TYPE]
