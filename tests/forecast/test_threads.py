import torch

import seqclv
from seqclv.forecast.threads import threads_kept


def test_torch_has_its_threads_again_after_a_scoring_in_this_process(small_bundle, small_log, small_config, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seqclv.score(small_bundle, small_config.data, "2021-07-01", [30], tmp_path / "forecasts.parquet")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_torch_has_its_threads_again_after_an_error():
    before = torch.get_num_threads()
    try:
        with threads_kept():
            torch.set_num_threads(before + 1)
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert torch.get_num_threads() == before
