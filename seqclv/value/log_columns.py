"""The columns of a log that the terms name: asked for when it is opened, and required to be there."""

from dataclasses import replace

from seqclv.config import DataConfig
from seqclv.data.storeinfo import StoreInfo
from seqclv.errors import InputError, offenders
from seqclv.value.acquisition import Costs
from seqclv.value.money import NO_CURRENCY, Terms

CURRENCY = "currency"  # a column of this name is taken for the currency where no other is named


def with_terms(data: DataConfig, terms: Terms) -> DataConfig:
    """The log with the columns that the terms name and, where a log may lack columns, one called `currency`."""
    wanted = [terms.channel_column, terms.currency_column, None if data.require_columns else CURRENCY]
    of_customers = () if data.customers is None else data.customers.categorical
    known = {name for names in data.attributes for name in names} | set(of_customers)
    categorical = [name for name in dict.fromkeys(wanted) if name is not None and name not in known]
    numeric = [name for name in (terms.margin_column,) if name is not None and name not in known]
    if not data.sources:
        return replace(data, numeric=(*data.numeric, *numeric), categorical=(*data.categorical, *categorical))
    sources = tuple(
        replace(
            source,
            numeric={**source.numeric, **{name: name for name in numeric}},
            categorical={**source.categorical, **{name: name for name in categorical}},
        )
        for source in data.sources
    )
    return replace(data, sources=sources)


def require_columns(log: StoreInfo, terms: Terms) -> None:
    """Check that the log has the columns that the terms name.

    Raises:
        InputError: one is missing.
    """
    categorical = {**log.categorical, **log.static_categorical}
    named = {
        "--margin-column": (terms.margin_column, log.numeric),
        "--channel-column": (terms.channel_column, categorical),
        "--currency-column": (terms.currency_column, categorical),
    }
    for option, (column, there) in named.items():
        if column is not None and column not in there:
            raise InputError(
                f"{option} names a column of the log, but it has no '{column}': name another or leave the option out."
            )


def require_channels(log: StoreInfo, terms: Terms, costs: Costs) -> None:
    """Check that the channels whose cost is stated are those of the log.

    Names that the log lacks are fine as long as each of its channels has a cost of its own: a list of costs may know
    channels that have brought nobody yet.

    Raises:
        InputError: costs are stated by channel, but no column holds it; or a cost reaches no customer, while customers
            of other channels have none of their own.
    """
    if not costs.by_channel:
        return
    column = terms.channel_column
    if column is None:
        raise InputError(
            f"Costs of {offenders(list(costs.by_channel))} need the channel of each customer, but no column is named: "
            "give --channel-column."
        )
    there = [name for name in {**log.categorical, **log.static_categorical}[column] if name]
    unknown = [name for name in costs.by_channel if name not in there]
    uncovered = [name for name in there if name not in costs.by_channel]
    if unknown and uncovered:
        raise InputError(
            f"Acquisition costs go by the channels in '{column}', but no customer has {offenders(unknown)}, while "
            f"{offenders(uncovered)} has no cost of its own: mend the names."
        )


def currency_of(log: StoreInfo, terms: Terms) -> str:
    """The one currency of the log's money.

    Raises:
        InputError: the log holds several, or another than the terms say.
    """
    column = terms.currency_column or CURRENCY
    found = log.categorical.get(column, log.static_categorical.get(column, ()))
    if len(found) > 1:
        raise InputError(
            f"Money is added up in one currency, but the column '{column}' of the log holds {offenders(found)}: "
            "convert the amounts first."
        )
    if terms.currency is not None and found and found[0] != terms.currency:
        raise InputError(
            f"The currency of the log is {found[0]} in its column '{column}', but --currency says {terms.currency}: "
            "leave the option out or convert the amounts first."
        )
    return terms.currency or (found[0] if found else NO_CURRENCY)
