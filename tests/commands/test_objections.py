"""Who objects to profiling is in no training and gets no forecast, by the commands a user runs."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqclv.bundle import save_bundle
from seqclv.cli import main
from seqclv.scoring import fit_classical

CUTOFF = "2021-07-01"


@pytest.fixture(scope="module")
def objected(small_base, tmp_path_factory):
    """The small log, in which two customers object in a single line each, and the customers without them."""
    frame = small_base.to_pandas()
    bought = frame.loc[frame["timestamp"] < CUTOFF, "customer_id"]
    first, second = bought.unique()[:2]
    frame["objects"] = ""
    frame.loc[frame.index[frame["customer_id"] == first][0], "objects"] = "yes"
    frame.loc[frame.index[frame["customer_id"] == second][-1], "objects"] = "1"
    path = tmp_path_factory.mktemp("objected") / "log.parquet"
    frame.to_parquet(path)
    return path, {first, second}, bought.nunique()


def test_objections_are_honoured_by_training_and_scoring(objected, tmp_path):
    path, objectors, customers = objected
    model = fit_classical("pareto_nbd", str(path), CUTOFF, do_not_profile="objects").bundle
    everybody = fit_classical("pareto_nbd", str(path), CUTOFF).bundle
    assert everybody.training["customers"] == model.training["customers"] + 2 <= customers
    save_bundle(model, tmp_path / "model")
    words = ["score", "--model", tmp_path / "model", "--transactions", path, "--cutoff", CUTOFF, "--quiet"]
    assert main([*map(str, words), "--out", str(tmp_path / "f.parquet")]) == 0
    named = set(pq.read_table(tmp_path / "f.parquet")["customer_id"].to_pylist())
    assert len(named) == model.training["customers"]
    assert not named & objectors


def test_objections_are_honoured_by_a_store_and_what_is_valued_from_it(objected, tmp_path, capsys):
    path, objectors, _ = objected
    store = ["prepare", "--transactions", path, "--do-not-profile", "objects", "--out", tmp_path / "store", "--quiet"]
    assert main([*map(str, store)]) == 0
    model = fit_classical("pareto_nbd", str(tmp_path / "store"), CUTOFF).bundle
    save_bundle(model, tmp_path / "model")
    words = ["value", "--model", tmp_path / "model", "--transactions", tmp_path / "store", "--cutoff", CUTOFF]
    capsys.readouterr()
    assert main([*map(str, words), "--out", str(tmp_path / "v.parquet"), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["customers"] == model.training["customers"]
    assert not set(pd.read_parquet(tmp_path / "v.parquet")["customer_id"]) & objectors
