"""A whole policy document: the outermost forms."""

import datetime as dt
from typing import Annotated

import pydantic

from lastack.policy import scalars, vocabulary
from lastack.policy.schema import forms
from lastack.policy.schema import limits as limit_forms
from lastack.policy.schema import stages as stage_forms
from lastack.policy.schema import targets as target_forms
from lastack.policy.schema import triggers as trigger_forms

API_VERSION = "lastack.dev/v1alpha1"
KIND = "RemediationPolicy"


class Metadata(forms.Form):
    """What the policy is called."""

    name: Annotated[str, forms.Read(scalars.name(52))]
    """The name of the policy and of its target, in the ledger and in incident ids; unique in the set."""
    namespace: Annotated[object, forms.LATER] = None
    """The Kubernetes namespace of the policy."""
    labels: Annotated[object, forms.LATER] = None
    """Labels, as Kubernetes has them."""
    annotations: Annotated[object, forms.LATER] = None
    """Annotations, as Kubernetes has them."""


class Spec(forms.Form):
    """What is watched, what opens an incident, and what may be done."""

    target: target_forms.Target
    """What is watched."""
    mode: forms.ModeWord = vocabulary.Mode.OBSERVE
    """`observe`: record what would be done; `enforce`: do it."""
    probe: target_forms.Probe | None = None
    """How lastack asks a member whether it serves."""
    rotation: Annotated[target_forms.Rotation | None, forms.LATER] = None
    """How a member leaves and enters the rotation of a load balancer."""
    sample_every: Annotated[dt.timedelta, forms.Read(scalars.duration("200ms", "5m", "5s"))] = dt.timedelta(
        seconds=5
    )
    """Time from one look at the sockets to the next."""
    triggers: Annotated[list[trigger_forms.Trigger], pydantic.Field(min_length=1)]
    """What opens an incident; any one of them does."""
    stages: Annotated[list[stage_forms.AnyStage], pydantic.Field(min_length=1)]
    """The ladder, mildest first; each stage runs at most once per incident."""
    limits: limit_forms.Limits = limit_forms.Limits()
    """What holds, whatever the diagnosis says."""


class Document(forms.Form):
    """One policy."""

    api_version: Annotated[str, forms.Read(scalars.constant(API_VERSION))]
    """lastack.dev/v1alpha1"""
    kind: Annotated[str, forms.Read(scalars.constant(KIND))]
    """RemediationPolicy"""
    metadata: Metadata
    """What the policy is called."""
    spec: Spec
    """What is watched, what opens an incident, and what may be done."""
