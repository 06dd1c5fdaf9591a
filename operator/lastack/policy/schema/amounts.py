"""What a threshold is written in, and the plain number that a signal is compared with."""

import datetime as dt

from lastack import quantities
from lastack.policy import scalars, vocabulary

_HOUR_SECONDS = 3600
Kinds = tuple[type[object], ...]


def unit_of(signal: vocabulary.SignalName) -> tuple[Kinds, str]:
    """The types that a threshold of this signal may have, and how one is written."""
    if signal in vocabulary.SLOPE_SIGNALS:
        return (quantities.Rate,), "a rate like 10/h"
    if signal in vocabulary.RATE_SIGNALS:
        return (quantities.Rate,), "a rate like 0.05/s"
    if signal in vocabulary.SHARE_SIGNALS:
        return (quantities.Share,), "a share like 80%"
    if signal in vocabulary.FORECAST_SIGNALS:
        return (dt.timedelta,), "a duration like 36h"
    if signal in vocabulary.AGE_SIGNALS:
        return (dt.timedelta,), "a duration like 30s"
    return (int, float), "a number like 100"


def in_own_unit(amount: scalars.Amount | None, signal: vocabulary.SignalName) -> float:
    """Per second (a slope: per hour), 0 to 1, seconds, or a count; nothing counts as 0."""
    match amount:
        case quantities.Rate() if signal in vocabulary.SLOPE_SIGNALS:
            return amount.per_second * _HOUR_SECONDS
        case quantities.Rate():
            return amount.per_second
        case quantities.Share():
            return amount.fraction
        case dt.timedelta():
            return amount.total_seconds()
        case _:
            return float(amount or 0)
