import numpy as np
import pytest

from seqclv.data.events import Categorical
from seqclv.data.features import ledger, locate
from seqclv.data.schema import MINIMUM_VALUE_COUNT, derive_schema
from seqclv.data.static import static_features
from seqclv.data.windows import history

DAY = 86_400_000_000
END = 10_400 * DAY


@pytest.fixture
def known(random_log):
    """Merged histories of thirty customers; country and age of each."""
    from dataclasses import replace

    events = history(random_log(), END, "1d")
    size = events.customers
    country = np.array([0] * 12 + [1] * (size - 18) + [2] * 5 + [-1], dtype=np.int32)
    age = np.where(np.arange(size) < 5, np.nan, 20.0 + np.arange(size))
    return replace(
        events,
        static_numeric={"age": age},
        static_categorical={"country": Categorical(country, ("de", "ch", "rare"))},
    )


def schema_of(events):
    return derive_schema(events, END, merge="1d", max_history_events=16)


def test_the_schema_knows_the_values_of_enough_customers(known):
    schema = schema_of(known)
    [country], [age] = schema.static_categorical, schema.static_numeric
    assert 5 < MINIMUM_VALUE_COUNT < 12
    assert country.vocabulary == ("ch", "de") if known.customers - 18 >= MINIMUM_VALUE_COUNT else ("de",)
    present = known.static_numeric["age"][5:]
    assert (age.mean, age.std) == (pytest.approx(present.mean()), pytest.approx(present.std()))


def test_features_are_standardized_and_say_what_is_missing(known):
    numeric, categorical = static_features(known, schema_of(known))
    assert numeric.shape == (known.customers, 2)
    assert numeric[:5].tolist() == [[0, 0]] * 5
    assert numeric[5:, 1].tolist() == [1] * (known.customers - 5)
    assert numeric[5:, 0].mean() == pytest.approx(0)
    rare = categorical[-6:, 0]
    assert rare.tolist() == [0] * 6
    assert (categorical[:12, 0] == 1 + schema_of(known).static_categorical[0].vocabulary.index("de")).all()


def test_new_values_and_missing_tables_are_out_of_vocabulary(known):
    from dataclasses import replace

    schema = schema_of(known)
    new = Categorical(np.zeros(known.customers, dtype=np.int32), ("atlantis",))
    for other in (replace(known, static_categorical={"country": new}), replace(known, static_categorical={})):
        assert (static_features(other, schema)[1] == 0).all()
    assert (static_features(replace(known, static_numeric={}), schema)[0] == 0).all()


def test_each_query_has_the_attributes_of_its_customer(known):
    from seqclv.data.assemble import event_batch

    schema = schema_of(known)
    row = np.array([3, 0, 3, known.customers - 1])
    book = ledger(known, schema.event_types)
    batch = event_batch(known, book, locate(book, row, np.full(4, END)), schema)
    numeric, categorical = static_features(known, schema)
    assert batch.static_numeric.numpy() == pytest.approx(numeric[row])
    assert (batch.static_categorical.numpy() == categorical[row]).all()


def test_a_schema_without_attributes_has_none(random_log):
    schema = schema_of(history(random_log(), END, "1d"))
    assert schema.static_numeric == () == schema.static_categorical


def test_events_without_the_attributes_of_the_schema_have_them_missing(random_log):
    from dataclasses import replace

    from seqclv.data.features import event_features

    events = history(random_log(), END, "1d")
    schema = schema_of(events)
    nothing = replace(
        events,
        numeric={"discs": np.full(len(events), np.nan)},
        categorical={"shop": Categorical(np.full(len(events), -1, dtype=np.int32), ())},
    )
    without = replace(events, numeric={}, categorical={})
    for found, expected in zip(event_features(without, schema), event_features(nothing, schema), strict=True):
        assert np.array_equal(found, expected)
