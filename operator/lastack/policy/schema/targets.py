"""What is watched and how it is asked and reached: the forms under spec.target, spec.probe and spec.rotation."""

import datetime as dt
from typing import Annotated

import pydantic

from lastack.policy import scalars
from lastack.policy.schema import forms


class Systemd(forms.Form):
    """Units of systemd."""

    units: Annotated[list[Annotated[str, forms.Read(scalars.UNIT)]], pydantic.Field(min_length=1)]
    """Service units or patterns of them; each running unit is a member of the target."""


class Supervised(forms.Form):
    """Processes of lastack's own small supervisor, which the demo uses."""

    name: Annotated[str, forms.Read(scalars.name(52))]
    """The name under which the supervisor runs in the state directory."""


class Kubernetes(forms.Form):
    """A workload of a cluster."""

    kind: Annotated[object, forms.LATER] = None
    """Deployment, StatefulSet or DaemonSet."""
    name: Annotated[object, forms.LATER] = None
    """The name of the workload."""
    selector: Annotated[object, forms.LATER] = None
    """Labels of the pods, instead of kind and name."""
    container: Annotated[object, forms.LATER] = None
    """Which container of the pod listens."""


class Target(forms.Form):
    """What is watched: exactly one of systemd, supervised, kubernetes, commands and container."""

    systemd: Systemd | None = None
    """Units of systemd."""
    supervised: Supervised | None = None
    """Processes of lastack's own small supervisor, which the demo uses."""
    kubernetes: Annotated[Kubernetes | None, forms.LATER] = None
    """A workload of a cluster."""
    commands: Annotated[object, forms.LATER] = None
    """A service that is started and stopped by commands of its own."""
    container: Annotated[object, forms.LATER] = None
    """Containers of podman or Docker."""
    ports: list[Annotated[int, forms.Read(scalars.integer(1, 65535, "a port"))]] = pydantic.Field(
        default_factory=list
    )
    """TCP ports of the listeners that count; all listeners of the target when absent."""

    @pydantic.model_validator(mode="after")
    def _exactly_one(self) -> "Target":
        kinds = ("systemd", "supervised", "kubernetes", "commands", "container")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if not given:
            raise scalars.BadValue("names no target", "one of systemd or supervised", code="missing-field")
        if len(given) > 1:
            what = f"stands beside {' and '.join(given[:-1])}"
            raise scalars.BadValue(what, "exactly one of them", code="conflict", at=(given[-1],))
        return self


class HttpRequest(forms.Form):
    """The request of a probe."""

    path: Annotated[str, forms.Read(scalars.PROBE_PATH)]
    """The path that is asked for, with GET, at the member's own listener."""


class Probe(forms.Form):
    """How lastack asks a member whether it serves; one request at a time per member."""

    http: HttpRequest
    """A real HTTP request: a mere connect proves nothing while the queue has room."""
    expect: Annotated[tuple[tuple[int, int], ...], forms.Read(scalars.STATUSES)] = ((200, 399),)
    """The statuses that count as an answer."""
    timeout: Annotated[dt.timedelta, forms.Read(scalars.duration("100ms", "1m", "3s"))] = dt.timedelta(
        seconds=3
    )
    """How long an answer may take."""


class HookRequest(forms.Form):
    """One call to a load balancer."""

    method: Annotated[object, forms.LATER] = None
    """GET, POST, PUT or DELETE."""
    url: Annotated[object, forms.LATER] = None
    """Where it goes."""


class Hook(forms.Form):
    """How one call is made."""

    http: Annotated[HookRequest | None, forms.LATER] = None
    """As an HTTP request."""


class Rotation(forms.Form):
    """How a member leaves and enters the rotation of a load balancer."""

    out: Annotated[Hook | None, forms.LATER] = None
    """The call that takes the member out."""
    in_: Annotated[Hook | None, forms.LATER] = None
    """The call that puts it back."""
    within: Annotated[object, forms.LATER] = None
    """How long each call may take."""
