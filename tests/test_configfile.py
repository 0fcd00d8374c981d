"""Configurations are read strictly: what is misspelt or of the wrong kind is named and refused."""

from dataclasses import asdict

import pytest

from seqclv.config import Config, TrainingConfig
from seqclv.configfile import config_from, read_config, with_values
from seqclv.errors import InputError


@pytest.fixture
def read(tmp_path):
    """Read a YAML text, with overrides."""

    def read(text, *overrides):
        path = tmp_path / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return read_config(path, overrides)

    return read


# -- what is accepted ------------------------------------------------------------------------------------------------


def test_without_a_file_all_is_default():
    assert read_config() == Config()


@pytest.mark.parametrize("text", ["", "# nothing\n", "model:\n", "model: {}\ntraining:\n  # max_steps: 3\n"])
def test_what_a_file_does_not_say_is_default(read, text):
    assert read(text) == Config()


def test_values_reach_their_fields(read):
    config = read(
        "model: {encoder: transformer, layers: 2}\ntraining:\n  learning_rate: 4e-3\n  max_steps: 30\n"
        "horizons_days: [7, 30.5]\ndata: {transactions: [a.csv, b.csv], merge: 6h}\nseed: 3\n"
    )
    assert (config.model.encoder, config.model.layers) == ("transformer", 2)
    assert config.training == TrainingConfig(learning_rate=0.004, max_steps=30)
    assert config.horizons_days == (7.0, 30.5)
    assert (config.data.transactions, config.data.merge, config.seed) == (("a.csv", "b.csv"), "6h", 3)


@pytest.mark.parametrize(
    ("written", "cutoff"),
    [
        ("2024-07-01", "2024-07-01"),
        ("'2024-07-01'", "2024-07-01"),
        ("2024-07-01 13:30:00", "2024-07-01T13:30:00"),
        ("2024-07-01T13:30:00+02:00", "2024-07-01T13:30:00+02:00"),
        ("null", None),
    ],
)
def test_a_date_in_yaml_is_a_cutoff(read, written, cutoff):
    assert read(f"cutoff: {written}").cutoff == cutoff
    assert read("", f"cutoff={written}").cutoff == cutoff


def test_a_configuration_survives_its_own_dictionary():
    config = Config(cutoff="2024-07-01", horizons_days=(1.0, 2.0), seed=7)
    assert config_from(asdict(config)) == config


# -- overrides -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "model:\n", "model: {layers: 1, dropout: 0.2}\n"])
def test_an_override_wins_over_the_file(read, text):
    assert read(text, "model.layers=3").model.layers == 3


def test_an_override_leaves_the_other_keys_of_its_group(read):
    config = read("model: {layers: 2, dropout: 0.2}", "model.layers=3", "seed=4", "seed=5")
    assert (config.model.layers, config.model.dropout, config.seed) == (3, 0.2, 5)


def test_overrides_take_yaml_lists_mappings_and_empty_space(read):
    config = read(
        "", "horizons_days=[1, 2]", "model={layers: 2}", " training.patience = 4 ", "tracking.uri=sqlite:///a=b.db"
    )
    assert (config.horizons_days, config.model.layers, config.training.patience) == ((1.0, 2.0), 2, 4)
    assert config.tracking.uri == "sqlite:///a=b.db"


@pytest.mark.parametrize("override", ["seed", "=3", "", "  =3"])
def test_an_override_without_a_key_or_a_value_is_refused(read, override):
    with pytest.raises(InputError, match="--set takes key=value"):
        read("", override)


def test_an_override_into_a_value_is_refused(read):
    with pytest.raises(InputError, match="'seed' is a value, not a group"):
        read("seed: 3", "seed.x=3")


def test_an_override_that_is_no_yaml_is_refused(read):
    with pytest.raises(InputError, match=r"--set takes a YAML value, but '\[1' is none"):
        read("", "model.layers=[1")


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "known"),
    [
        ("modle: {}", "modle", "data, model, training"),
        ("modle:", "modle", "data, model, training"),
        ("modle: {layers: 2}", "modle", "data, model, training"),
        ("model: {layer: 2}", "model.layer", "encoder, hidden_size"),
        ("tracking: {experimnt: a}", "tracking.experimnt", "experiment, model_name"),
    ],
)
def test_a_misspelt_key_is_named_beside_the_known_ones(read, text, key, known):
    with pytest.raises(InputError, match=f"sets '{key}': the keys there are {known}"):
        read(text)
    override = next(iter(text.split(":"))) + "=1" if "{" not in text else None
    if override:
        with pytest.raises(InputError, match="Every key must be known"):
            read("", override)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("model: 5", "'model' is 5"),
        ("model: {layers: two}", "'model.layers' is 'two'"),
        ("model: {layers: 1.5}", "'model.layers' is 1.5"),
        ("model: {encoder: lstm}", "'gru' or 'transformer'"),
        ("training: {max_steps: .inf}", "'training.max_steps'"),
        ("seed:", "'seed' is None"),
        ("cutoff: 20240701", "'cutoff' is 20240701"),
        ("horizons_days: 30", "'horizons_days' is 30"),
        ("horizons_days: [30, soon]", "'horizons_days.1' is 'soon'"),
        ("data: {transactions: log.csv}", "'data.transactions' is 'log.csv'"),
        ("1: 2", "'1' is 1"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(read, text, where):
    with pytest.raises(InputError, match=where):
        read(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("horizons_days: []", "horizons_days must be positive"),
        ("horizons_days: [0]", "horizons_days must be positive"),
        ("horizon_days: -3", "horizon_days must be above zero"),
        ("horizon_days: .nan", "horizon_days must be above zero"),
        ("ensemble: 0", "ensemble must be above zero"),
        ("seed: -1", "seed must be a whole number from 0"),
        ("training: {validation_share: 1}", "validation_share must lie between 0 and 1"),
        ("training: {max_steps: 0}", "max_steps must be above zero"),
        ("model: {dropout: 1}", "dropout must lie in"),
        ("model: {encoder: transformer, hidden_size: 20, heads: 4}", "multiple of twice the heads"),
        ("data: {max_reject_share: 2}", "max_reject_share must lie"),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_the_rule(read, text, rule):
    with pytest.raises(InputError, match=rule):
        read(text)


@pytest.mark.parametrize("text", ["- 1\n", "just text\n", "3\n"])
def test_a_file_that_is_no_mapping_is_refused(read, text):
    with pytest.raises(InputError, match="mapping of keys to values"):
        read(text)


def test_a_file_that_is_no_yaml_is_refused_in_one_line(read):
    with pytest.raises(InputError, match="cannot be read as such") as refused:
        read("model: [1\n")
    assert "\n" not in str(refused.value)


def test_a_file_of_bytes_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as such"):
        read_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("path", ["missing.yaml", "."])
def test_a_file_that_is_not_there_is_refused(tmp_path, path):
    with pytest.raises(InputError, match="check the path"):
        read_config(tmp_path / path)


# -- changes ---------------------------------------------------------------------------------------------------------


def test_changed_values_merge_group_by_group():
    changed = with_values(Config(seed=1), {"training": {"max_steps": 5}, "ensemble": 1})
    config = config_from(changed)
    assert (config.training.max_steps, config.training.patience) == (5, TrainingConfig().patience)
    assert (config.ensemble, config.seed) == (1, 1)


@pytest.mark.parametrize("merge", ["5x", "0d", "", "d", "None"])
def test_a_merge_period_that_is_none_is_refused_where_it_is_read(merge):
    with pytest.raises(InputError, match="merge must be 'none' or hours or days such as '6h' or '1d'"):
        config_from({"data": {"merge": merge}})
    assert config_from({"data": {"merge": " 6 h"}}).data.merge == " 6 h"
