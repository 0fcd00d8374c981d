"""The tiers of an earlier valuation are found beside the new one's customers, chunk by chunk."""

import numpy as np
import pytest

from seqclv.errors import InputError
from seqclv.value import previous
from seqclv.value.previous import PreviousTiers


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_every_customer_finds_their_tier_whatever_the_chunks(make_values, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(previous, "_BATCH_ROWS", batch)
    ids = sorted(f"c{i}" for i in range(20) for _ in range(2))
    tier = [f"tier {name}" for name in ids]
    path = make_values(tmp_path / "v.parquet", customer_id=ids, tier=tier)
    asked = sorted({*ids[::3], "a new one", "c4x", "z"})
    for size in (1, 4, len(asked)):
        reader, found = PreviousTiers(path), []
        for start in range(0, len(asked), size):
            found += reader.of(np.array(asked[start : start + size], dtype=object)).tolist()
        assert found == [f"tier {name}" if name in ids else None for name in asked]


def test_an_unsorted_table_is_refused(make_values, tmp_path):
    path = make_values(tmp_path / "v.parquet", customer_id=["b", "a"])
    with pytest.raises(InputError, match="sorted by customer_id"):
        PreviousTiers(path).of(np.array(["c"], dtype=object))
