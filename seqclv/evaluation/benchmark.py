"""The benchmark: backtests of public and simulated logs with all baselines, seed by seed, finished ones reused.

    OUT/<log>-<horizon>d/benchmark.json              what the backtest was made from and with
    OUT/<log>-<horizon>d/seed-S/<cutoff>/...         the backtest; see `seqclv.evaluation.backtest`
    OUT/<log>-<horizon>d/truth.json                  of a simulated log; see `seqclv.evaluation.benchmark_truth`

`seqclv.evaluation.benchmark_page` makes the page from these directories alone.
"""

import hashlib
import json
import platform
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seqclv.bundle import git_commit
from seqclv.comparison import FURTHER_BASELINES
from seqclv.config import Config, DataConfig, ModelConfig, TrainingConfig
from seqclv.data.simulate import SimulationConfig, simulate, write
from seqclv.data.store import EventStore, open_log
from seqclv.data.windows import instant
from seqclv.errors import InputError
from seqclv.evaluation.backtest import BacktestPlan, backtest, inputs_digest, write_json
from seqclv.evaluation.benchmark_truth import FILE as TRUTH
from seqclv.evaluation.benchmark_truth import judge_truth
from seqclv.version import __version__

Announce = Callable[[str], None]

RECORD = "benchmark.json"
_SEASONAL = SimulationConfig(customers=5_000, days=1_096, mean_events=12, yearly_season=0.6)
_TINY = SimulationConfig(customers=120, days=400, mean_events=8)
LIBRARIES = ("torch", "scikit-learn", "numpy")


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log of the benchmark: where it lies, and what a reader must know of it."""

    title: str
    note: str
    source: Callable[[Path], DataConfig]  # given a directory for files that must be made
    simulation: SimulationConfig | None = None  # of a log whose truth is known


@dataclass(frozen=True, kw_only=True)
class Study:
    """Held-out windows of one log that have the same length."""

    log: str
    cutoffs: tuple[str, ...]
    horizon_days: float

    @property
    def name(self) -> str:
        """The name of its directory."""
        return f"{self.log}-{self.horizon_days:g}d"


def known_logs(online_retail: Path | None = None) -> dict[str, Log]:
    """The logs by name; Online Retail where its file is given."""
    found = {
        "cdnow": Log(
            title="CDNOW",
            note="Compact discs, 1997-98, 23,570 customers, in dollars. Public and old: methods have been "
            "tuned on it for decades. All customers joined within the first twelve weeks, so that no history before a "
            "cutoff shows a customer of the age that the window ends at.",
            source=lambda _: DataConfig(transactions=("dataset:cdnow",)),
        ),
        "cdnow_sample": Log(
            title="CDNOW, the tenth that the literature uses",
            note="2,357 of the customers of CDNOW; its rows are among those of the full log.",
            source=lambda _: DataConfig(transactions=("dataset:cdnow_sample",)),
        ),
        "complete_journey": Log(
            title="Complete Journey",
            note="A grocer's 2,469 households during 2017, in dollars. Its authors call it simulated, made for "
            "teaching.",
            source=lambda _: DataConfig(transactions=("dataset:complete_journey",)),
        ),
        "simulated": Log(
            title="Simulated base with a yearly season",
            note="Pareto/NBD customers whose rate follows the year, with Gamma-Gamma amounts, three years: but for the "
            "season, the assumptions of the classical models hold exactly. It says nothing about real customers.",
            source=_simulated(_SEASONAL),
            simulation=_SEASONAL,
        ),
        "quick": Log(
            title="A tiny simulated base",
            note="A rehearsal of the benchmark: nobody learns anything from its figures.",
            source=_simulated(_TINY),
            simulation=_TINY,
        ),
    }
    if online_retail is not None:
        found["online_retail"] = Log(
            title="Online Retail",
            note="A British wholesaler of gifts, December 2010 to December 2011, in pounds (UCI). Rows without a "
            "customer, a quarter of them, are left out; cancellations are refunds; service lines and duplicates stay.",
            source=lambda workspace: _online_retail(online_retail, workspace),
        )
    return found


STUDIES = (
    Study(log="cdnow", cutoffs=("1997-10-01",), horizon_days=273.0),
    Study(log="cdnow", cutoffs=("1997-07-01",), horizon_days=92.0),
    Study(log="cdnow_sample", cutoffs=("1997-10-01",), horizon_days=273.0),
    Study(log="complete_journey", cutoffs=("2017-07-01", "2017-10-01"), horizon_days=92.0),
    Study(log="online_retail", cutoffs=("2011-06-01", "2011-09-01"), horizon_days=90.0),
    Study(log="simulated", cutoffs=("2022-01-01", "2022-07-01"), horizon_days=180.0),
)
QUICK_STUDY = Study(log="quick", cutoffs=("2020-09-01", "2020-11-01"), horizon_days=60.0)
QUICK_CONFIG = Config(
    model=ModelConfig(hidden_size=4, query_size=8, behaviours=3), training=TrainingConfig(max_steps=8), ensemble=1
)


def run_studies(
    studies: Sequence[Study],
    logs: Mapping[str, Log],
    out: Path,
    *,
    config: Config,
    seeds: Sequence[int],
    quiet: bool = False,
    announce: Announce | None = None,
) -> list[Path]:
    """Backtest every study with every baseline and return their directories, in order.

    A backtest of the same configuration, windows, seeds, log and package version that is finished is reused; an
    unfinished one goes on where it stood.

    Raises:
        InputError: a log is unknown or refused.
    """
    unknown = [study.log for study in studies if study.log not in logs]
    if unknown:
        raise InputError(f"A log of the benchmark is one of {', '.join(logs)}, but '{unknown[0]}' was asked for.")
    say = announce or (lambda _: None)
    directories = []
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        stores: dict[str, EventStore] = {}
        for study in studies:
            if study.log not in stores:
                say(f"reading {study.log}")
                place = Path(workspace) / study.log
                place.mkdir()
                stores[study.log] = open_log(logs[study.log].source(place), place)
            directory = _run(study, stores[study.log], out, config, tuple(seeds), quiet, say)
            _judge_truth(study, logs[study.log], stores[study.log], directory, seeds)
            directories.append(directory)
    return directories


def _run(
    study: Study, store: EventStore, out: Path, config: Config, seeds: tuple[int, ...], quiet: bool, say: Announce
) -> Path:
    directory = out / study.name
    config = replace(config, data=DataConfig(transactions=(str(store.path),)))
    plan = BacktestPlan(
        cutoffs=tuple(instant(cutoff) for cutoff in study.cutoffs),
        horizon_days=study.horizon_days,
        seeds=seeds,
        further_baselines=FURTHER_BASELINES,
        keep_scores=True,
    )
    inputs = hashlib.sha256(f"{inputs_digest(config, plan, store)} {__version__}".encode()).hexdigest()
    record = directory / RECORD
    if record.is_file() and json.loads(record.read_text()).get("inputs") == inputs:
        say(f"{study.name}: reusing the finished backtest of the same inputs, made by {maker(record)}")
        return directory
    (directory / TRUTH).unlink(missing_ok=True)
    backtest(config, plan, directory, quiet=quiet, announce=lambda text: say(f"{study.name}: {text}"))
    write_json({"inputs": inputs, **_facts(study, seeds, config)}, record)
    return directory


def _judge_truth(study: Study, log: Log, store: EventStore, directory: Path, seeds: Sequence[int]) -> None:
    """Where the log was simulated and its study was not yet held against the truth, do so."""
    if log.simulation is not None and not (directory / TRUTH).is_file():
        judge_truth(
            directory,
            log.simulation,
            store.read(),
            cutoffs=study.cutoffs,
            horizon_days=study.horizon_days,
            seeds=seeds,
        )


def maker(record: Path) -> str:
    """The version and, where it is known, the commit that made a finished study."""
    facts = json.loads(record.read_text())
    return f"seqclv {facts['seqclv']}" + (f" (commit {facts['commit']})" if facts["commit"] else "")


def _facts(study: Study, seeds: tuple[int, ...], config: Config) -> dict[str, Any]:
    return {
        "log": study.log,
        "cutoffs": list(study.cutoffs),
        "horizon_days": study.horizon_days,
        "seeds": list(seeds),
        "seqclv": __version__,
        "commit": commit_of_package(),
        "settings": settings(config),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def settings(config: Config) -> dict[str, Any]:
    """The keys that differ from the default configuration, but for the log's, with dotted names."""
    found: dict[str, Any] = {}
    for group in ("model", "training"):
        given, default = asdict(getattr(config, group)), asdict(getattr(Config(), group))
        found |= {f"{group}.{key}": value for key, value in given.items() if value != default[key]}
    single = ("ensemble", "accelerator")
    return found | {key: getattr(config, key) for key in single if getattr(config, key) != getattr(Config(), key)}


def commit_of_package() -> str | None:
    """The commit of the package, marked where the package's files differ from it."""
    commit = git_commit()
    if commit is None:
        return None
    package = Path(__file__).parent.parent
    command = ["git", "-C", str(package), "status", "--porcelain", "--", str(package)]
    changed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
    return commit[:10] + (" and changes not committed" if changed else "")


def _simulated(config: SimulationConfig) -> Callable[[Path], DataConfig]:
    def source(workspace: Path) -> DataConfig:
        write(simulate(config), workspace / "log.parquet")
        return DataConfig(transactions=(str(workspace / "log.parquet"),))

    return source


def _online_retail(file: Path, workspace: Path) -> DataConfig:
    """The log in the layout of UCI, its amount computed, without the rows that name no customer."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    types = {"CustomerID": pa.string(), "Quantity": pa.float64(), "UnitPrice": pa.float64()}
    options = pacsv.ConvertOptions(
        include_columns=["InvoiceDate", *types],
        column_types={"InvoiceDate": pa.timestamp("us"), **types},
        strings_can_be_null=True,
    )
    try:
        lines = pacsv.read_csv(file, convert_options=options)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(
            f"Online Retail is a CSV file with the columns InvoiceDate, CustomerID, Quantity and UnitPrice, but the "
            f"file given cannot be read so: {error}."
        ) from error
    lines = lines.filter(pc.is_valid(lines["CustomerID"]))
    table = {
        "customer_id": lines["CustomerID"],
        "timestamp": lines["InvoiceDate"],
        "amount": pc.multiply(lines["Quantity"], lines["UnitPrice"]),
    }
    pq.write_table(pa.table(table), workspace / "log.parquet")
    return DataConfig(transactions=(str(workspace / "log.parquet"),))
