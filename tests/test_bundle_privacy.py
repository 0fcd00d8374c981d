"""A model holds no customer."""

from seqclv.bundle import save_bundle
from seqclv.forgetting.search import occurrences


def test_no_file_of_a_bundle_holds_a_customer_id(small_bundle, small_base, tmp_path):
    save_bundle(small_bundle, tmp_path / "bundle")
    ids = sorted(set(small_base["customer_id"].to_pylist()))
    telling = [i for i in ids if len(i) >= 6]
    assert len(telling) > 100
    files = [path for path in (tmp_path / "bundle").rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert [path.name for path in files if occurrences(path, telling)] == []
