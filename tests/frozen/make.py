"""Make the frozen bundle anew: python tests/frozen/make.py. Only when the format changes on purpose."""

import tempfile
from dataclasses import replace
from pathlib import Path

from seqclv.bundle import save_bundle
from seqclv.configfile import config_from
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.scoring import load
from seqclv.training.train import train_bundle

HERE = Path(__file__).parent
CUTOFF = "2022-03-01"
LOG = SimulationConfig(customers=12, seed=9, days=900, mean_events=5, refund_share=0.1, attributes=True)


def main() -> None:
    """Write the log, the bundle trained on a larger one, and the forecasts."""
    config = config_from(
        {
            "data": {"categorical": ["category"]},
            "model": {"hidden_size": 4, "query_size": 8, "behaviours": 2},
            "training": {"max_steps": 60, "max_epochs": 10},
            "ensemble": 2,
        }
    )
    base = simulate(replace(LOG, customers=400)).transactions
    cutoff = instant(CUTOFF)
    past = history(events_from_frame(base, config.data), cutoff, "1d")
    with tempfile.TemporaryDirectory() as work:
        bundle, _ = train_bundle(
            past, cutoff, horizon_days=90.0, config=config, fingerprint="frozen", work=Path(work), quiet=True
        )
    save_bundle(replace(bundle, git_commit=None), HERE / "bundle")
    log = simulate(LOG).transactions.to_pandas()
    log.to_csv(HERE / "log.csv", index=False)
    load(HERE / "bundle").forecast(str(HERE / "log.csv"), CUTOFF, [30, 365]).to_csv(HERE / "forecasts.csv", index=False)


if __name__ == "__main__":
    main()
