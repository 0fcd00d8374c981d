"""Maximum likelihood over positive parameters, with a weak prior only where the likelihood has no maximum."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

FloatArray = npt.NDArray[np.float64]
# theta [P] > 0 -> (log-likelihood, its gradient [P] with respect to theta)
LogLikelihood = Callable[[FloatArray], tuple[float, FloatArray]]

_LOG_BOUND = np.log(1e4)  # parameters are searched in [1e-4, 1e4], times and amounts having been scaled to mean one
_PRIOR_STD = 1.5  # of the log of each parameter, in the fallback: within a factor of 20 of the centre


def maximize(log_likelihood: LogLikelihood, centre: Sequence[float], starts: Sequence[Sequence[float]]) -> FloatArray:
    """The maximum in the box [1e-4, 1e4]^P, by L-BFGS-B on log parameters from several starts.

    Where the maximum lies on an edge of the box the data do not identify the parameters (nobody repeats, one
    customer only, all customers alike): then, and only then, the posterior mode under independent log-normal
    priors around `centre` with a spread of 1.5 is returned, which always exists in the interior.
    """
    best = _search(log_likelihood, starts)
    if best is not None and np.all(np.abs(best) < _LOG_BOUND - 0.1):
        return np.exp(best)
    middle = np.log(np.asarray(centre, dtype=np.float64))

    def penalized(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = log_likelihood(theta)
        away = (np.log(theta) - middle) / _PRIOR_STD
        return value - 0.5 * float(away @ away), gradient - away / _PRIOR_STD / theta

    fallback = _search(penalized, [centre, *starts])
    return np.exp(middle if fallback is None else fallback)


def _search(log_likelihood: LogLikelihood, starts: Sequence[Sequence[float]]) -> FloatArray | None:
    """The best log parameters over all starts; None if no start has a finite likelihood."""

    def objective(log_theta: FloatArray) -> tuple[float, FloatArray]:
        theta = np.exp(log_theta)
        value, gradient = log_likelihood(theta)
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return 1e15, np.zeros_like(theta)
        return -value, -gradient * theta

    best, lowest = None, 1e14
    for start in starts:
        found = minimize(
            objective,
            np.log(np.asarray(start, dtype=np.float64)),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_LOG_BOUND, _LOG_BOUND)] * len(start),
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7},
        )
        if found.fun < lowest:
            best, lowest = found.x, found.fun
    return best
