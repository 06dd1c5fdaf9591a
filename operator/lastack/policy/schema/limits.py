"""What holds, whatever the diagnosis says: the forms under spec.limits."""

import datetime as dt
from typing import Annotated

from lastack import quantities
from lastack.policy import scalars
from lastack.policy.schema import forms


class Restarts(forms.Form):
    """The budget of restarts."""

    max: Annotated[int, forms.Read(scalars.integer(1, 1000, "a number"))] = 3
    """At most so many restarts of the target; restarts by others count."""
    per: Annotated[dt.timedelta, forms.Read(scalars.duration("1m", "30d", "24h"))] = dt.timedelta(hours=24)
    """In any span of this length."""


class QuietWindow(forms.Form):
    """A span of the week."""

    days: Annotated[object, forms.LATER] = None
    """Days of the week, like Mon."""
    from_: Annotated[object, forms.LATER] = None
    """Its first minute, like "23:30"."""
    to: Annotated[object, forms.LATER] = None
    """Its end, like "04:30"; earlier than its start means the next day."""


class Calendar(forms.Form):
    """When acts are held because of the time."""

    timezone: Annotated[object, forms.LATER] = None
    """The time zone of the other fields."""
    quiet: Annotated[list[QuietWindow] | None, forms.LATER] = None
    """Windows in which planned acts run."""
    freeze: Annotated[object, forms.LATER] = None
    """Dates on which nothing is done."""
    emergency: Annotated[object, forms.LATER] = None
    """Diagnoses that the calendar does not hold."""
    if_limit_comes_first: Annotated[object, forms.LATER] = None
    """What to do about a leak that reaches its limit before the next window."""


class Limits(forms.Form):
    """What holds, whatever the diagnosis says."""

    warm_up: Annotated[dt.timedelta, forms.Read(scalars.duration("0s", "24h", "10m"))] = dt.timedelta(
        minutes=10
    )
    """After the start of lastack, a boot, a resume or a gap in the samples: look, never disrupt."""
    min_process_age: Annotated[dt.timedelta, forms.Read(scalars.duration("0s", "24h", "5m"))] = dt.timedelta(
        minutes=5
    )
    """A younger process is not disrupted: it may still be starting up."""
    cooldown: Annotated[dt.timedelta, forms.Read(scalars.duration("0s", "30d", "30m"))] = dt.timedelta(
        minutes=30
    )
    """Per member, after an incident: no new remediation."""
    restarts: Restarts = Restarts()
    """The budget of restarts per target."""
    min_available: Annotated[int | quantities.Share, forms.Read(scalars.COUNT_OR_SHARE)] = 1
    """Members that must be left to serve while one is replaced; a share is rounded up, 0 allows downtime."""
    hold_when_sick: Annotated[object, forms.LATER] = None
    """That many sick members at once are a common cause: hold."""
    calendar: Annotated[Calendar | None, forms.LATER] = None
    """When acts are held because of the time."""
    storm: Annotated[object, forms.LATER] = None
    """That many sick targets at once hold everything."""
    fleet: Annotated[object, forms.LATER] = None
    """A lock shared by many hosts."""
    breaker: Annotated[object, forms.LATER] = None
    """Stop after restarts that did not help."""
