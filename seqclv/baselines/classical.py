"""The classical models as one value: fitted parameters, plain floats, from which forecasts follow."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

from seqclv.baselines.bg_nbd import BgNbd, BgNbdFuture
from seqclv.baselines.btyd import fit_bg_nbd, fit_pareto_nbd
from seqclv.baselines.compound import Amounts
from seqclv.baselines.gamma_gamma import GammaGamma, fit_gamma_gamma
from seqclv.baselines.pareto_nbd import ParetoNbd, ParetoNbdFuture
from seqclv.baselines.posterior import ClassicalForecast, Future
from seqclv.baselines.rfm import RfmTable
from seqclv.errors import InputError

Kind = Literal["pareto_nbd", "bg_nbd"]
KINDS: tuple[Kind, ...] = ("pareto_nbd", "bg_nbd")


@dataclass(frozen=True)
class ClassicalModel:
    """A buy-till-you-die model of purchases and a Gamma-Gamma model of their amounts; times in days.

    `amounts` is None where the base has no positive amount: spend is then unknown.
    """

    purchases: ParetoNbd | BgNbd
    amounts: GammaGamma | None

    @property
    def kind(self) -> Kind:
        """Which of the models of purchases it is."""
        return "pareto_nbd" if isinstance(self.purchases, ParetoNbd) else "bg_nbd"

    def forecast(self, table: RfmTable) -> ClassicalForecast:
        """The predictive distributions of the table's customers, in its order, from its last calibration day on.

        Given alive, lambda ~ Gamma(r + x, alpha + T) and mu ~ Gamma(s, beta + T) (Pareto/NBD), or
        p ~ Beta(a, b + x) (BG/NBD); amounts ~ Gamma(p, nu), nu ~ Gamma(p x + q, gamma + x m).
        """
        model = self.purchases
        alive = np.exp(model.log_alive_probability(table.frequency, table.recency, table.T))
        shape, scale = model.r + table.frequency, model.alpha + table.T
        future: Future
        if isinstance(model, ParetoNbd):
            future = ParetoNbdFuture(shape, scale, model.s, model.beta + table.T)
        else:
            future = BgNbdFuture(shape, scale, model.a, model.b + table.frequency)
        amounts = None if self.amounts is None else Amounts(self.amounts.p, *self.amounts.posterior(table))
        return ClassicalForecast(alive, future, amounts)

    def to_dict(self) -> dict[str, Any]:
        """Plain floats and strings, as a bundle stores them; `from_dict` restores an equal model."""
        amounts = None if self.amounts is None else asdict(self.amounts)
        return {"kind": self.kind, "time_unit": "day", "purchases": asdict(self.purchases), "amounts": amounts}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Restore what `to_dict` gave.

        Raises:
            InputError: not such a mapping, or a parameter is not a positive number.
        """
        try:
            if stored["kind"] not in KINDS or stored["time_unit"] != "day":
                raise ValueError(f"kind {stored['kind']!r} in units of {stored['time_unit']!r}")
            amounts = None if stored["amounts"] is None else GammaGamma(**_positive(stored["amounts"]))
            family = ParetoNbd if stored["kind"] == "pareto_nbd" else BgNbd
            return cls(family(**_positive(stored["purchases"])), amounts)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"A stored classical model has a kind ({' or '.join(KINDS)}), its parameters in days and those of "
                f"the amounts; found {error}; save the model again."
            ) from error


def fit_classical(kind: Kind, table: RfmTable) -> ClassicalModel:
    """Fit by maximum likelihood; degenerate tables get finite parameters too, see `maximum_likelihood`."""
    if len(table) == 0:
        raise InputError("A classical model needs customers; the table has no row; choose a later cutoff.")
    purchases = fit_pareto_nbd(table) if kind == "pareto_nbd" else fit_bg_nbd(table)
    return ClassicalModel(purchases, fit_gamma_gamma(table))


def _positive(parameters: Mapping[str, Any]) -> dict[str, float]:
    values = {name: float(value) for name, value in parameters.items()}
    if not all(0 < value < float("inf") for value in values.values()):
        raise ValueError(f"parameters {values}")
    return values
