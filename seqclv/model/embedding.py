"""Embed events and customers.

Numeric features go through a linear map, categorical ones through tables with an out-of-vocabulary entry.
"""

import torch
from torch import Tensor, nn

from seqclv.batch import FeatureSchema

CALENDAR_AND_TIMING = 6  # log gap, log age, is first, log amount, sine and cosine of the weekday
WEEKDAY_COLUMNS = (4, 5)  # among them
BUILT_IN_TYPES = 4  # out of vocabulary, purchase, refund, zero


def event_width(schema: FeatureSchema) -> int:
    """F, the number of numeric event features that `data.features.event_features` makes for this schema."""
    return CALENDAR_AND_TIMING + 2 * (schema.harmonics > 0) + 2 * len(schema.numeric)


def table_sizes(schema: FeatureSchema) -> tuple[int, ...]:
    """Entries of each of the G embedding tables."""
    return (BUILT_IN_TYPES + len(schema.event_types), *(len(f.vocabulary) + 1 for f in schema.categorical))


class EventEmbedding(nn.Module):
    """Events [E, F], [E, G] -> [E, hidden_size]."""

    def __init__(self, schema: FeatureSchema, hidden_size: int) -> None:
        super().__init__()
        self.numeric = nn.Linear(event_width(schema), hidden_size)
        tables = [nn.Embedding(size, hidden_size) for size in table_sizes(schema)]
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
        self.tables = nn.ModuleList(tables)

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Sum of the embeddings of all features of an event."""
        embedded: Tensor = self.numeric(numeric)
        for g, table in enumerate(self.tables):
            embedded = embedded + table(categorical[..., g])
        return torch.tanh(embedded)


class StaticEmbedding(nn.Module):
    """Attributes of customers [N, 2 A], [N, T] -> [N, size]. It starts at zero: training starts as if without them."""

    def __init__(self, schema: FeatureSchema, size: int) -> None:
        super().__init__()
        self.numeric = nn.Linear(2 * len(schema.static_numeric), size, bias=False) if schema.static_numeric else None
        self.tables = nn.ModuleList(nn.Embedding(len(f.vocabulary) + 1, size) for f in schema.static_categorical)
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def forward(self, hidden: Tensor, numeric: Tensor, categorical: Tensor) -> Tensor:
        """`hidden` [N, size] plus the embeddings of all attributes."""
        if self.numeric is not None:
            hidden = hidden + self.numeric(numeric)
        for t, table in enumerate(self.tables):
            hidden = hidden + table(categorical[:, t])
        return hidden
