"""What is asked of a log must have been done when its store was prepared: a store cannot be filtered or joined anew."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from seqclv.config import DataConfig
from seqclv.data.storeinfo import StoreInfo
from seqclv.errors import InputError


def filters_of(data: DataConfig) -> tuple[str, ...]:
    """The filters of all sources of a log, each once, sorted; '' is that of a source without."""
    return tuple(sorted({where or "" for where in ([one.where for one in data.sources] or [data.where])}))


def as_prepared(data: DataConfig, info: StoreInfo) -> DataConfig:
    """`data` with the rules of its store, by which a model that learns from it must read whatever log it is given.

    Filters of several sources are not among them: each is of the columns of its own.
    """
    alone = info.filters[0] or None if info.filters is not None and len(info.filters) == 1 else None
    return replace(
        data,
        cancellation_days=info.cancellation_days,
        match_on=info.match_on,
        do_not_profile=info.do_not_profile,
        where=data.where if data.sources else data.where or alone,
    )


def require_honoured(data: DataConfig, info: StoreInfo, path: Path) -> None:
    """Refuse a store that was prepared by other rules than `data` states.

    How the raw log calls its columns, and what an older store does not tell, is not compared. What `data` leaves at its
    default is as the store has it.

    Raises:
        InputError: an attribute, a calendar, a filter, a table of identities, the rules of cancellations or the column
            of those who must not be profiled is asked for, and the store has none or another.
    """
    if data.query is not None or data.table is not None:
        raise InputError(f"A query or a table is asked of a database, but '{path}' is a prepared store: leave it out.")
    if missing := _missing(data, info):
        raise InputError(
            f"A prepared store must hold the attributes asked for, but '{path}' lacks {', '.join(missing)}: "
            "prepare it anew with them."
        )
    if other := list(_otherwise(data, info)):
        raise InputError(
            f"A prepared store is used by the rules it was prepared with, but '{path}' was prepared "
            f"{'; '.join(other)}: prepare it anew by the rules of the configuration or the model."
        )


def _missing(data: DataConfig, info: StoreInfo) -> list[str]:
    """What `data` names and the store has not."""
    static, calendar = {*info.static_numeric, *info.static_categorical}, data.calendar
    known = {*info.numeric, *info.categorical} | static
    numeric, categorical = data.attributes if data.require_columns else ((), ())
    missing = [name for name in (*numeric, *categorical) if name not in known]
    if data.customers is not None:
        names = (*data.customers.numeric, *data.customers.categorical)
        missing += [f"customers.{name}" for name in names if name not in static]
    if calendar is not None:
        missing += [f"calendar.{name}" for name in calendar.columns if name not in info.calendar]
    return missing


def _otherwise(data: DataConfig, info: StoreInfo) -> Iterator[str]:
    """How the store was prepared, where `data` says otherwise."""
    if data.do_not_profile is not None and data.do_not_profile != info.do_not_profile:
        had = "" if info.do_not_profile is None else f", but with {info.do_not_profile}"
        yield f"without do_not_profile={data.do_not_profile}{had}"
    if data.cancellation_days and data.cancellation_days != info.cancellation_days:
        yield f"with cancellation_days={info.cancellation_days:g}, not {data.cancellation_days:g}"
    if data.cancellation_days and set(data.match_on) != set(info.match_on):
        yield f"with match_on={list(info.match_on)}, not {list(data.match_on)}"
    if data.identities is not None and info.identities is False:
        yield "without a table of identities"
    asked = filters_of(data)
    if info.filters is not None and asked not in (("",), info.filters):
        yield f"with {_quoted(info.filters)}, not with {_quoted(asked)}"


def _quoted(filters: tuple[str, ...]) -> str:
    return " and ".join(f'the filter "{expression}"' if expression else "no filter" for expression in filters)
