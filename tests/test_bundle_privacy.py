"""A model holds no customer, and does not see what is sensitive."""

from dataclasses import replace

import numpy as np

from seqclv.bundle import save_bundle
from seqclv.data.windows import history, instant
from seqclv.forgetting.search import occurrences
from seqclv.training.train import train_bundle


def test_no_file_of_a_bundle_holds_a_customer_id_nor_a_sensitive_input(small_events, small_config, tmp_path):
    names = np.array([f"customer-{i:05d}" for i in range(small_events.customers)], dtype=object)
    cutoff = instant("2021-07-01")
    config = replace(small_config, ensemble=1, data=replace(small_config.data, sensitive=("category",)))
    bundle, _ = train_bundle(
        history(replace(small_events, customer_id=names), cutoff, "1d"),
        cutoff,
        horizon_days=90.0,
        config=config,
        fingerprint="small",
        work=tmp_path / "work",
        quiet=True,
    )
    save_bundle(bundle, tmp_path / "bundle")
    files = [path for path in (tmp_path / "bundle").rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert [path.name for path in files if occurrences(path, list(names))] == []
    assert bundle.schema is not None
    assert bundle.schema.categorical == ()
