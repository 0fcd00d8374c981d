"""Static attributes, those of customers: their part of the schema, and their features."""

import numpy as np

from seqclv.batch import CategoricalFeature, FeatureSchema, NumericFeature
from seqclv.data.events import Categorical, Events, FloatArray, IntArray


def codes_of(column: Categorical | None, vocabulary: tuple[str, ...], size: int) -> IntArray:
    """[size] codes of a column's values in a vocabulary, from 1 on; what is missing or unknown is 0."""
    if column is None:
        return np.zeros(size, dtype=np.int64)
    code = {value: i + 1 for i, value in enumerate(vocabulary)}
    # One extra entry at the end: code -1 (missing) indexes it and is out of vocabulary.
    lookup = np.asarray([*(code.get(value, 0) for value in column.values), 0], dtype=np.int64)
    return np.asarray(lookup[column.codes])


def standardized(column: FloatArray | None, feature: NumericFeature, size: int) -> list[FloatArray]:
    """A numeric column, standardized, and whether it is present, each [size]; a missing value is 0."""
    value = np.full(size, np.nan) if column is None else column
    present = ~np.isnan(value)
    return [
        np.where(present, np.clip((value - feature.mean) / feature.std, -8, 8), 0.0),
        present.astype(np.float64),
    ]


def static_features(events: Events, schema: FeatureSchema) -> tuple[FloatArray, IntArray]:
    """[C, 2 A] numeric and [C, T] categorical features of customers."""
    size = events.customers
    numeric = [part for f in schema.static_numeric for part in standardized(events.static_numeric.get(f.name), f, size)]
    categorical = [
        codes_of(events.static_categorical.get(f.name), f.vocabulary, size) for f in schema.static_categorical
    ]
    return (
        np.stack(numeric, axis=-1) if numeric else np.zeros((size, 0)),
        np.stack(categorical, axis=-1) if categorical else np.zeros((size, 0), dtype=np.int64),
    )


def static_vocabularies(events: Events, minimum: int) -> tuple[CategoricalFeature, ...]:
    """Values that at least `minimum` of the customers have, in sorted order."""
    features = []
    for name, column in sorted(events.static_categorical.items()):
        count = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        kept = sorted(value for value, n in zip(column.values, count, strict=True) if n >= minimum)
        features.append(CategoricalFeature(name=name, vocabulary=tuple(kept)))
    return tuple(features)
