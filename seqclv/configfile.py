"""Read a configuration: YAML and `key=value` overrides onto the frozen dataclasses of `seqclv.config`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from seqclv.config import Config
from seqclv.credentials import without_credentials
from seqclv.errors import InputError

_GROUPS = tuple(f.name for f in fields(Config) if is_dataclass(getattr(Config(), f.name)))


def read_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a YAML file (defaults without one), changed by overrides such as 'model.layers=2'.

    Raises:
        InputError: the file is no YAML mapping, a key is misspelt or a value has the wrong type.
    """
    values = _read_yaml(Path(path)) if path is not None else {}
    for override in overrides:
        _apply(values, override)
    return config_from(values, origin=str(path) if path is not None else "the options")


def config_from(values: Mapping[str, Any], *, origin: str = "the configuration") -> Config:
    """Validate a nested mapping. A group without keys (all of them commented out, say) keeps its defaults."""
    values = {key: value for key, value in values.items() if value is not None or key not in _GROUPS}
    if isinstance(values.get("data"), Mapping):
        values["data"] = _written_out(values["data"])
    if isinstance(values.get("cutoff"), date):  # YAML reads 2024-07-01 as a date
        values["cutoff"] = values["cutoff"].isoformat()
    try:
        return TypeAdapter(Config).validate_python(values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "the whole"
        if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise InputError(
                f"Every key must be known, but {origin} sets '{where}': {_known(problem['loc'])}."
            ) from None
        message = problem["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        if problem["type"] == "value_error":
            raise InputError(f"In {origin}, {where}: {message}.") from None
        found = without_credentials(repr(problem["input"]))
        raise InputError(f"In {origin}, '{where}' is {found}, but {message}: change it.") from None


def _written_out(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data section with its short forms written out: one file for a list, a list of columns for a mapping."""
    written = dict(data)
    if isinstance(data.get("sources"), list | tuple):
        written["sources"] = [_table_written_out(source) for source in data["sources"]]
    for table in ("customers", "calendar", "identities"):
        if table in data:
            written[table] = _table_written_out(data[table])
    return {**written, **_types_written_out(data)}


def _table_written_out(table: Any) -> Any:
    if not isinstance(table, Mapping):
        return table
    written = {**table, **_types_written_out(table)}
    if isinstance(table.get("files"), str):
        written["files"] = [table["files"]]
    for name in ("numeric", "categorical"):
        columns = table.get(name)
        if isinstance(columns, list | tuple) and all(isinstance(column, str) for column in columns):
            written[name] = {column: column for column in columns}
    return written


def _types_written_out(table: Mapping[str, Any]) -> dict[str, Any]:
    """YAML reads the code 1 as a number; the column is compared as text."""
    types = table.get("types")
    if not isinstance(types, Mapping):
        return {}
    return {"types": {str(k) if isinstance(k, int) and not isinstance(k, bool) else k: v for k, v in types.items()}}


def _known(location: Sequence[int | str]) -> str:
    part: Any = Config
    for key in location[:-1]:
        if not isinstance(key, int):  # the place in a list says nothing about the keys
            part = _group(get_type_hints(part)[str(key)])
    return "the keys there are " + ", ".join(f.name.removesuffix("_") for f in fields(part))


def _group(hint: Any) -> Any:
    """The dataclass in a type such as `tuple[SourceConfig, ...]` or `SqlConfig | None`."""
    return next((part for part in get_args(hint) if is_dataclass(part)), hint)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"A configuration is a readable YAML file, but {path} is not: check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = str(error).replace("\n", " ")
        raise InputError(f"A configuration is YAML, but {path} cannot be read as such: {where}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"A configuration is a mapping of keys to values, but {path} holds a {type(values).__name__}.")
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise InputError(f"--set takes key=value, such as model.layers=2, but it was given {override!r}.")
    *parents, last = key.strip().split(".")
    for parent in parents:
        if values.get(parent) is None:  # missing, or a group without keys
            values[parent] = {}
        nested = values[parent]
        if not isinstance(nested, dict):
            raise InputError(f"--set {override}: '{parent}' is a value, not a group of keys.")
        values = nested
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set takes a YAML value, but {text!r} is none.") from error


def with_values(config: Config, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as nested values, with some of them changed; groups are merged key by key."""
    values = asdict(config)
    for key, change in changes.items():
        values[key] = {**values[key], **change} if isinstance(change, Mapping) else change
    return values
