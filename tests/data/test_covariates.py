"""The calendar as covariates: scales from the history's days alone, zero without a row, unknown after its end."""

from dataclasses import replace

import numpy as np
import pytest

from seqclv.batch import NumericFeature
from seqclv.data.assemble import event_batch
from seqclv.data.calendar import Calendar
from seqclv.data.covariates import beyond_calendar, calendar_scales, known_days, require_calendar
from seqclv.data.events import MICROSECONDS_PER_DAY as DAY
from seqclv.data.features import ledger, locate, targets
from seqclv.data.schema import derive_schema
from seqclv.data.windows import history
from seqclv.errors import InputError
from tests.data.conftest import events_of

CUTOFF = 40 * DAY
PROMO = NumericFeature(name="promo", mean=0.25, std=0.5)


def calendar_of(values, first=0, columns=("promo",)):
    values = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    dates = np.datetime64(first, "D") + np.arange(len(values))
    return Calendar(columns, dates, values)
