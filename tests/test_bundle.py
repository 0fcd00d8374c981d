"""A bundle comes back as it was saved, is refused when it is damaged, and holds no customer."""

import json
from dataclasses import replace

import pytest
import torch

from seqclv.bundle import FORMAT_VERSION, load_bundle, save_bundle
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.training.train import classical_bundle


@pytest.fixture
def saved(small_bundle, tmp_path):
    save_bundle(small_bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_network_comes_back_as_it_was_saved(small_bundle, saved):
    loaded = load_bundle(saved)
    assert loaded.schema == small_bundle.schema
    assert loaded.config == small_bundle.config
    assert loaded.version == small_bundle.version
    for one, other in zip(loaded.networks, small_bundle.networks, strict=True):
        assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("kind", ["pareto_nbd", "bg_nbd"])
def test_a_classical_model_comes_back_as_it_was_saved(kind, small_events, small_config, tmp_path):
    cutoff = instant("2021-07-01")
    bundle = classical_bundle(
        kind, history(small_events, cutoff, "1d"), cutoff, horizon_days=90, config=small_config, fingerprint="f"
    )
    save_bundle(bundle, tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle") == bundle


def test_loading_draws_no_random_numbers(saved):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_bundle(saved)
    assert torch.equal(torch.rand(3), expected)


def test_saving_replaces_an_older_bundle_and_leaves_nothing_beside_it(small_bundle, saved):
    save_bundle(replace(small_bundle, fingerprint="another"), saved)
    assert load_bundle(saved).fingerprint == "another"
    assert [path.name for path in saved.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", ["weights.safetensors", "card.md"])
def test_a_changed_byte_is_found(saved, name):
    content = bytearray((saved / name).read_bytes())
    content[-1] ^= 1
    (saved / name).write_bytes(bytes(content))
    with pytest.raises(InputError, match=f"{name} differs from its hash"):
        load_bundle(saved)


@pytest.mark.parametrize("name", ["weights.safetensors", "bundle.json"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(InputError, match=name):
        load_bundle(saved)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b'{"format_version": 1}', b'{"format_version": 1, "files": {}}', b"\xff"],
)
def test_a_damaged_document_is_refused(saved, content):
    (saved / "bundle.json").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_bundle(saved)


def test_an_unknown_format_is_refused(saved):
    document = json.loads((saved / "bundle.json").read_text())
    (saved / "bundle.json").write_text(json.dumps(document | {"format_version": FORMAT_VERSION + 1}))
    with pytest.raises(InputError, match="format 2"):
        load_bundle(saved)


def test_a_bundle_holds_no_customer(small_events, saved):
    content = b"".join(path.read_bytes() for path in saved.iterdir())
    assert not [name for name in small_events.customer_id if name.encode() in content]
