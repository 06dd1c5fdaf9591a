"""Facts as hypothesis draws them: whatever a world of odd names, old kernels and broken clocks may say."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from lastack.engine import actions, facts, instants, outcomes, reasons
from lastack.policy import valid, vocabulary

# Every character, also the halves that undecodable bytes of a process name become.
words = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
keys = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)

instants_of_a_host = st.builds(
    instants.Now,
    wall=st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-7, minutes=-30))])),
    steady=st.timedeltas(min_value=dt.timedelta(0), max_value=dt.timedelta(days=4000)),
    boot_id=words,
)

values: st.SearchStrategy[outcomes.Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | words | st.sampled_from(list(vocabulary.Mode)),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)

any_facts = st.builds(
    facts.Fact,
    kind=st.sampled_from(list(facts.FactKind)),
    at=instants_of_a_host,
    text=words,
    incident=st.none() | words.map(actions.IncidentId),
    policy=st.none() | words.map(valid.PolicyName),
    policy_hash=st.none() | words,
    mode=st.none() | st.sampled_from(list(vocabulary.Mode)),
    target=st.none() | words,
    member=st.none() | words.map(actions.MemberName),
    stage=st.none() | words.map(valid.StageName),
    action=st.none() | st.sampled_from(list(vocabulary.ActionKind)),
    action_id=st.none() | words.map(actions.StepId),
    reason=st.none() | st.sampled_from(list(reasons.Reason)),
    counterfactual=st.booleans(),
    data=st.dictionaries(keys | words, values, max_size=4),
    actor=words,
)
