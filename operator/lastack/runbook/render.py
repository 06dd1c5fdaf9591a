"""The runbook record of one incident, in Markdown, from its entries only. Called by bootstrap and cli.

The same entries give the same bytes: nothing here looks at a clock, a disk or a setting.
"""

from collections.abc import Mapping, Sequence

from lastack import errors
from lastack.engine import facts, incidents, instants
from lastack.policy import vocabulary
from lastack.runbook import entries, folds, markdown, record_sections

_ENDINGS: Mapping[incidents.OutcomeCode | None, str] = {
    incidents.OutcomeCode.VERIFIED: "healed and verified",
    incidents.OutcomeCode.INCONCLUSIVE: "the symptom is gone, not proven healed",
    incidents.OutcomeCode.RECOVERED_UNAIDED: "recovered by itself",
    incidents.OutcomeCode.INEFFECTIVE: "not healed by what was done",
    incidents.OutcomeCode.EXHAUSTED: "handed to a human",
    incidents.OutcomeCode.ABANDONED: "abandoned",
    None: "still open",
}


def record(news: Sequence[entries.Entry]) -> str:
    """The record of the incident that these entries tell of. Raises InvariantBroken when they tell of none."""
    told = folds.history(news)
    if not told:
        raise errors.InvariantBroken("a record needs the entries of an incident, from its first on")
    incident = told[0].incident
    sections = [
        _head(news, incident),
        record_sections.timeline(news),
        record_sections.signals(news),
        record_sections.stacks(news),
        record_sections.done(news),
        record_sections.refused(news),
        record_sections.undo(news),
        record_sections.left(news, incident),
        record_sections.evidence(news),
        record_sections.check(news, incident),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _head(news: Sequence[entries.Entry], incident: incidents.Incident) -> list[str]:
    opened, closed = incident.opened_at, incident.closed_at
    begun = f"{record_sections.clock(opened.wall, day=True)} UTC"
    members = ", ".join(markdown.code(name) for name in incident.sick) or "none for long enough"
    title = f"# {markdown.text(incident.target)}: {incident.diagnosis}, {_ending(incident)}"
    policy = (
        f"{markdown.code(incident.policy)}, mode {incident.mode}, {markdown.code(incident.policy_hash[:19])}"
    )
    until = f"to {_until(opened, closed)}" if closed else f"and still open at {_seen(news)}"
    return [
        title,
        "",
        markdown.text(_summary(news)),
        "",
        f"- **Outcome**: {_outcome(news, incident)}",
        f"- **Time**: {begun} {until}",
        f"- **Disease**: {incident.diagnosis}{_confidence(news)}, cause {_cause(incident)}",
        f"- **Sick members**: {members}",
        f"- **Changed by lastack**: {_changes(news, incident)}",
        f"- **Policy**: {policy}",
        f"- **Incident**: {markdown.code(incident.id)}",
    ]


def _cause(incident: incidents.Incident) -> str:
    peers = ", ".join(markdown.code(peer) for peer in dict.fromkeys(incident.waits.values()))
    return f"{incident.cause or 'not sought'}{f' ({peers})' if peers else ''}"


def _ending(incident: incidents.Incident) -> str:
    if incident.outcome is None and incident.phase == "EXHAUSTED":
        return "handed to a human, still open"
    return _ENDINGS[incident.outcome]


def _summary(news: Sequence[entries.Entry]) -> str:
    """What was wrong, in the words of the first member that was sick, else of the first suspicion."""
    sick = [entry.fact.text for entry in news if entry.fact.kind is facts.FactKind.MEMBER_SICKENED]
    return [*sick, news[0].fact.text][0]


def _outcome(news: Sequence[entries.Entry], incident: incidents.Incident) -> str:
    """The code, and the last word that was said about it."""
    code = str(incident.outcome or incident.phase)
    return f"**{code}**: {markdown.text(_last_word(news).removeprefix(f'{code}: '))}"


def _last_word(news: Sequence[entries.Entry]) -> str:
    ends = (
        facts.FactKind.INCIDENT_RESOLVED,
        facts.FactKind.INCIDENT_EXHAUSTED,
        facts.FactKind.INCIDENT_ABANDONED,
    )
    said = [entry.fact.text for entry in news if entry.fact.kind in ends]
    return said[-1] if said else news[-1].fact.text


def _confidence(news: Sequence[entries.Entry]) -> str:
    said = [entry.fact.data.get("confidence") for entry in news]
    known = [value for value in said if isinstance(value, str)]
    return f" at {vocabulary.Confidence(known[-1])} confidence" if known else ""


def _until(opened: instants.Now, closed: instants.Now) -> str:
    day = opened.wall.date() != closed.wall.date()
    lasted = record_sections.after(closed.since(opened)).removeprefix("+")
    return f"{record_sections.clock(closed.wall, day=day)} UTC ({lasted})"


def _seen(news: Sequence[entries.Entry]) -> str:
    return f"{record_sections.clock(news[-1].fact.at.wall, day=True)} UTC"


def _changes(news: Sequence[entries.Entry], incident: incidents.Incident) -> str:
    """Which acts changed the world."""
    happened = [step for step in incident.steps if step.happened]
    replaced = [markdown.code(s.member) for s in happened if s.kind is vocabulary.ActionKind.ROLLING_RESTART]
    leased = [
        entry.fact.data.get("name") for entry in news if entry.fact.kind is facts.FactKind.SYSCTL_LEASED
    ]
    written = [markdown.code(str(name)) for name in dict.fromkeys(leased)]
    said = []
    if replaced:
        said.append(f"replaced {', '.join(replaced)}")
    destroyed = [row for entry in news for row in _destroyed(entry.fact)]
    if destroyed:
        peers = ", ".join(markdown.code(peer) for peer in dict.fromkeys(destroyed))
        count = f"{len(destroyed)} connection{'' if len(destroyed) == 1 else 's'}"
        said.append(f"destroyed {count} to {peers}")
    if written:
        said.append(f"leased {', '.join(written)}")
    return "; ".join(said) or "nothing"


def _destroyed(fact: facts.Fact) -> list[str]:
    """The peers of the connections that an act destroyed, one for each."""
    rows = fact.data.get("destroyed")
    found = rows if isinstance(rows, tuple) else ()
    return [str(row.get("peer")) for row in found if isinstance(row, Mapping)]
