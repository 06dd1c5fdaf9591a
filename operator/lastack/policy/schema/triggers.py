"""What opens an incident: the form of one item of spec.triggers."""

import datetime as dt
from typing import Annotated

import pydantic

from lastack.policy import scalars, vocabulary
from lastack.policy.schema import amounts, forms

_GAUGES = [signal.value for signal in vocabulary.SignalName if signal not in vocabulary.RATE_SIGNALS]
LATER_SIGNALS = (
    *(f"{gauge}.{trend}" for gauge in _GAUGES for trend in ("slope", "exhaustsIn")),
    *("workers.limit", "listen.overflowRate", "acceptRate", "synCookies.rate"),
)


class Condition(forms.Form):
    """One of several conditions that must hold together."""

    diagnosis: Annotated[object, forms.LATER] = None
    """Holds while a member has one of these diagnoses."""
    signal: Annotated[object, forms.LATER] = None
    """Holds on the value of one signal."""
    raise_above: Annotated[object, forms.LATER] = None
    """Holds while the signal is above this."""
    clear_below: Annotated[object, forms.LATER] = None
    """Clears when the signal is below this."""
    raise_below: Annotated[object, forms.LATER] = None
    """Holds while the signal is below this."""
    clear_above: Annotated[object, forms.LATER] = None
    """Clears when the signal is above this."""


class Trigger(forms.Form):
    """What opens an incident; any one of them does. Either `diagnosis`, or `signal` with its two thresholds."""

    name: Annotated[str, forms.Read(scalars.identifier())]
    """The name of the trigger in records; unique in the policy."""
    diagnosis: forms.Diagnoses | None = None
    """Fires while a member has one of these diagnoses."""
    signal: Annotated[
        vocabulary.SignalName | None, forms.Read(scalars.choice(vocabulary.SignalName, later=LATER_SIGNALS))
    ] = None
    """Fires on the value of one signal, whatever the diagnosis is."""
    raise_above: Annotated[scalars.Amount | None, forms.Read(scalars.AMOUNT)] = None
    """Fires while the signal is above this; in the signal's own unit."""
    clear_below: Annotated[scalars.Amount | None, forms.Read(scalars.AMOUNT)] = None
    """Clears when the signal is below this; smaller than raiseAbove, so that it does not flap."""
    raise_below: Annotated[object, forms.LATER] = None
    """Fires while the signal is below this."""
    clear_above: Annotated[object, forms.LATER] = None
    """Clears when the signal is above this."""
    all_: Annotated[list[Condition] | None, forms.LATER] = None
    """Several conditions that must hold together."""
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
        given = [name for name in ("diagnosis", "signal", "all_") if getattr(self, name) is not None]
        if not given:
            raise scalars.BadValue("has no condition", "diagnosis or signal", code="missing-field")
        if len(given) > 1:
            fields = [forms.alias(name) for name in given]
            what = f"stands beside {' and '.join(fields[:-1])}"
            raise scalars.BadValue(what, "one of them", code="conflict", at=(fields[-1],))
        wrong = self._without_signal() if self.signal is None else self._of_signal(self.signal)
        if wrong:
            raise scalars.BadValues(wrong)
        return self

    def _without_signal(self) -> list[scalars.BadValue]:
        given = [name for name in ("raise_above", "clear_below") if getattr(self, name) is not None]
        what = "stands here without signal"
        return [
            scalars.BadValue(what, "signal beside it", code="conflict", at=(forms.alias(name),))
            for name in given
        ]

    def _of_signal(self, signal: vocabulary.SignalName) -> list[scalars.BadValue]:
        if self.raise_below is not None or self.clear_above is not None:
            return []  # surveying says that these are not supported
        kinds, expected = amounts.unit_of(signal)
        wrong: list[scalars.BadValue] = []
        for name in ("raise_above", "clear_below"):
            amount, field = getattr(self, name), forms.alias(name)
            if amount is None:
                what = f"has signal {signal} without {field}"
                wrong.append(scalars.BadValue(what, f"{field}, {expected}", code="missing-field"))
            elif not isinstance(amount, kinds):
                what = f"is not in the unit of {signal}"
                wrong.append(scalars.BadValue(what, expected, code="wrong-unit", at=(field,)))
        if not wrong and not self._ordered():
            what = "is not smaller than raiseAbove"
            wrong.append(scalars.BadValue(what, "a smaller one", code="out-of-range", at=("clearBelow",)))
        return wrong

    def _ordered(self) -> bool:
        return amounts.in_own_unit(self.clear_below) < amounts.in_own_unit(self.raise_above)
