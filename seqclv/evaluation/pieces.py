"""What pooling needs of one window, kept on disk so that a killed backtest goes on where it stood."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from seqclv.data.windows import Outcome
from seqclv.evaluation.scores import Scores
from seqclv.files import whole_file


@dataclass(frozen=True)
class Piece:
    """One method's scores on one window, what happened there, and the seconds to fit and to predict."""

    scores: Scores
    actual: Outcome
    seconds: Mapping[str, float]


def save_pieces(pieces: Mapping[str, Piece], path: Path) -> None:
    """Write the pieces of one window by model name; the file appears whole."""
    arrays: dict[str, Any] = {}
    for model, piece in pieces.items():
        groups = {"scores": vars(piece.scores), "actual": vars(piece.actual), "seconds": piece.seconds}
        for group, values in groups.items():
            arrays |= {f"{model}/{group}/{name}": value for name, value in values.items() if value is not None}
    with whole_file(path) as staging, staging.open("wb") as file:
        np.savez(file, **arrays)


def load_pieces(path: Path) -> dict[str, Piece]:
    """Read what `save_pieces` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    models = dict.fromkeys(name.split("/")[0] for name in arrays)
    return {model: _piece(arrays, model) for model in models}


def _piece(arrays: Mapping[str, Any], model: str) -> Piece:
    scores: dict[str, Any] = {field.name: arrays.get(f"{model}/scores/{field.name}") for field in fields(Scores)}
    actual: dict[str, Any] = {field.name: arrays[f"{model}/actual/{field.name}"] for field in fields(Outcome)}
    seconds = {name: float(arrays[f"{model}/seconds/{name}"]) for name in ("fit", "predict")}
    return Piece(Scores(**scores), Outcome(**actual), seconds)
