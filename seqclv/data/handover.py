"""Events as files that several processes map into memory: how one hands histories to others of this machine.

events.json            event types, attributes with their vocabularies
customers.arrow        customer ids (Arrow IPC)
offset.npy, timestamp.npy, amount.npy, event_type.npy, counterpart.npy
numeric_0.npy .., categorical_0.npy .., static_numeric_0.npy .., static_categorical_0.npy ..
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqclv.data.events import Categorical, Events

_INFO, _CUSTOMERS = "events.json", "customers.arrow"
_FLAT = ("offset", "timestamp", "amount", "event_type")
_GROUPS = ("numeric", "categorical", "static_numeric", "static_categorical")


def write_events(events: Events, directory: Path) -> None:
    """Write the events into a directory, made where it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, array in _arrays(events):
        np.save(directory / f"{name}.npy", np.asarray(array), allow_pickle=False)
    ids = pa.table({"customer_id": pa.array(events.customer_id, pa.string())})
    with pa.ipc.new_file(str(directory / _CUSTOMERS), ids.schema) as writer:
        writer.write_table(ids)
    info = {
        "further_types": events.further_types,
        "matched": events.counterpart is not None,
        **{group: _names(getattr(events, group)) for group in _GROUPS},
    }
    (directory / _INFO).write_text(json.dumps(info, ensure_ascii=False), "utf-8")


def _arrays(events: Events) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name in _FLAT:
        yield name, getattr(events, name)
    if events.counterpart is not None:
        yield "counterpart", events.counterpart
    for group in _GROUPS:
        for i, column in enumerate(getattr(events, group).values()):
            yield f"{group}_{i}", column.codes if isinstance(column, Categorical) else column


def _names(columns: Mapping[str, Any]) -> dict[str, tuple[str, ...] | None]:
    """Attributes in order, each with its vocabulary if it has one."""
    return {name: column.values if isinstance(column, Categorical) else None for name, column in columns.items()}


def read_events(directory: Path) -> Events:
    """The events of `write_events`; their arrays are mapped, not loaded."""
    info = json.loads((directory / _INFO).read_text("utf-8"))

    def mapped(name: str) -> npt.NDArray[Any]:
        return np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def group(name: str) -> dict[str, Any]:
        columns = {}
        for i, (attribute, words) in enumerate(info[name].items()):
            array = mapped(f"{name}_{i}")
            columns[attribute] = array if words is None else Categorical(array, tuple(words))
        return columns

    ids = pa.ipc.open_file(pa.memory_map(str(directory / _CUSTOMERS))).read_all()["customer_id"]
    return Events(
        customer_id=ids.to_numpy().astype(object),
        further_types=tuple(info["further_types"]),
        counterpart=mapped("counterpart") if info["matched"] else None,
        offset=mapped("offset"),
        timestamp=mapped("timestamp"),
        amount=mapped("amount"),
        event_type=mapped("event_type"),
        numeric=group("numeric"),
        categorical=group("categorical"),
        static_numeric=group("static_numeric"),
        static_categorical=group("static_categorical"),
    )
