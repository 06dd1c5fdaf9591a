"""What opens an incident: the form of one item of spec.triggers, and of one condition of its `all`."""

import datetime as dt
from typing import Annotated

import pydantic

from lastack.policy import scalars, vocabulary
from lastack.policy.schema import amounts, forms

_WITHOUT_TREND = (
    vocabulary.RATE_SIGNALS | vocabulary.SLOPE_SIGNALS | vocabulary.FORECAST_SIGNALS | vocabulary.AGE_SIGNALS
)
_LATER_SLOPES = {
    f"{signal}.slope"
    for signal in vocabulary.SignalName
    if signal not in _WITHOUT_TREND and not signal.startswith("openFiles.")
}
LATER_SIGNALS = (*sorted(_LATER_SLOPES - set(vocabulary.SignalName)), "workers.limit")
_SIGNAL = forms.Read(scalars.choice(vocabulary.SignalName, later=LATER_SIGNALS))
_AMOUNT = forms.Read(scalars.AMOUNT)
_ABOVE, _BELOW = ("raise_above", "clear_below"), ("raise_below", "clear_above")


class Condition(forms.Form):
    """One of several conditions that must hold together: either `diagnosis`, or `signal` with two thresholds."""

    diagnosis: forms.Diagnoses | None = None
    """Holds while a member has one of these diagnoses."""
    signal: Annotated[vocabulary.SignalName | None, _SIGNAL] = None
    """Holds on the value of one signal."""
    raise_above: Annotated[scalars.Amount | None, _AMOUNT] = None
    """Begins to hold when the signal is above this; in the signal's own unit."""
    clear_below: Annotated[scalars.Amount | None, _AMOUNT] = None
    """Ends when the signal is below this; smaller than raiseAbove."""
    raise_below: Annotated[scalars.Amount | None, _AMOUNT] = None
    """Begins to hold when the signal is below this, instead of raiseAbove."""
    clear_above: Annotated[scalars.Amount | None, _AMOUNT] = None
    """Ends when the signal is above this; larger than raiseBelow."""

    @pydantic.model_validator(mode="after")
    def _one_condition(self) -> "Condition":
        _raise_wrong(self, ("diagnosis", "signal"))
        return self


class Trigger(forms.Form):
    """What opens an incident; any one of them does. One of `diagnosis`, `signal` with two thresholds, or `all`."""

    name: Annotated[str, forms.Read(scalars.identifier())]
    """The name of the trigger in records; unique in the policy."""
    diagnosis: forms.Diagnoses | None = None
    """Fires while a member has one of these diagnoses."""
    signal: Annotated[vocabulary.SignalName | None, _SIGNAL] = None
    """Fires on the value of one signal, whatever the diagnosis is."""
    raise_above: Annotated[scalars.Amount | None, _AMOUNT] = None
    """Fires while the signal is above this; in the signal's own unit."""
    clear_below: Annotated[scalars.Amount | None, _AMOUNT] = None
    """Clears when the signal is below this; smaller than raiseAbove, so that it does not flap."""
    raise_below: Annotated[scalars.Amount | None, _AMOUNT] = None
    """Fires while the signal is below this, instead of raiseAbove: for what is worse when it is smaller."""
    clear_above: Annotated[scalars.Amount | None, _AMOUNT] = None
    """Clears when the signal is above this; larger than raiseBelow."""
    all_: Annotated[list[Condition], pydantic.Field(min_length=1)] | None = None
    """Fires when all of these two or more conditions hold at once, and clears when one of them ends."""
    sustained_for: Annotated[dt.timedelta, forms.Read(scalars.duration("0s", "7d", "30s"))] = dt.timedelta(
        seconds=30
    )
    """How long it must be so before the incident opens."""
    clear_for: Annotated[dt.timedelta, forms.Read(scalars.duration("0s", "7d", "2m"))] = dt.timedelta(
        minutes=2
    )
    """How long it must be over before the incident ends."""

    @pydantic.model_validator(mode="after")
    def _one_condition(self) -> "Trigger":
        _raise_wrong(self, ("diagnosis", "signal", "all_"))
        if self.all_ is not None and len(self.all_) == 1:
            what, expected = "holds one condition", "two or more, or this one without all"
            raise scalars.BadValue(what, expected, code="out-of-range", at=("all",))
        return self


def _raise_wrong(form: Condition | Trigger, ways: tuple[str, ...]) -> None:
    """Raise BadValue or BadValues for a form that names none or several of the ways, or thresholds that do not fit."""
    given = _given(form, ways)
    if not given:
        expected = " or ".join(["diagnosis", "signal"] if len(ways) == 2 else ["diagnosis, signal", "all"])
        raise scalars.BadValue("has no condition", expected, code="missing-field")
    if len(given) > 1:
        fields = [forms.alias(name) for name in given]
        what = f"stands beside {' and '.join(fields[:-1])}"
        raise scalars.BadValue(what, "one of them", code="conflict", at=(fields[-1],))
    wrong = _without_signal(form) if form.signal is None else _of_signal(form, form.signal)
    if wrong:
        raise scalars.BadValues(wrong)


def _given(form: Condition | Trigger, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(form, name) is not None]


def _without_signal(form: Condition | Trigger) -> list[scalars.BadValue]:
    return [
        scalars.BadValue(
            "stands here without signal", "signal beside it", code="conflict", at=(forms.alias(name),)
        )
        for name in _given(form, (*_ABOVE, *_BELOW))
    ]


def _of_signal(form: Condition | Trigger, signal: vocabulary.SignalName) -> list[scalars.BadValue]:
    """What is wrong with the thresholds: one pair of them, in the signal's unit, the clearing one on the calm side."""
    forecast = signal in vocabulary.FORECAST_SIGNALS
    above, below = _given(form, _ABOVE), _given(form, _BELOW)
    if (above and below) or (above and forecast):
        here = below or above
        what = (
            f"stands here with {forms.alias(above[0])}"
            if below
            else f"stands here for {signal}, which is worse when it is smaller"
        )
        expected = "raiseBelow and clearAbove" if forecast else "one pair of thresholds"
        return [scalars.BadValue(what, expected, code="conflict", at=(forms.alias(here[0]),))]
    pair = _BELOW if below or forecast else _ABOVE
    kinds, expected = amounts.unit_of(signal)
    wrong: list[scalars.BadValue] = []
    for name in pair:
        amount, field = getattr(form, name), forms.alias(name)
        if amount is None:
            what = f"has signal {signal} without {field}"
            wrong.append(scalars.BadValue(what, f"{field}, {expected}", code="missing-field"))
        elif not isinstance(amount, kinds):
            what = f"is not in the unit of {signal}"
            wrong.append(scalars.BadValue(what, expected, code="wrong-unit", at=(field,)))
    return wrong or _order(form, signal, pair)


def _order(
    form: Condition | Trigger, signal: vocabulary.SignalName, pair: tuple[str, str]
) -> list[scalars.BadValue]:
    raises, clears = (amounts.in_own_unit(getattr(form, name), signal) for name in pair)
    if (clears < raises) if pair == _ABOVE else (clears > raises):
        return []
    word, other = ("smaller", "raiseAbove") if pair == _ABOVE else ("larger", "raiseBelow")
    what = f"is not {word} than {other}"
    return [scalars.BadValue(what, f"a {word} one", code="out-of-range", at=(forms.alias(pair[1]),))]
