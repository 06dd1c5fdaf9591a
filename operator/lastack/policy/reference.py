"""The reference page of the policy language, from the schema itself; docs/reference/policy.md is this text.

Called by the test that keeps the page in step, and by whoever renews it.
"""

import datetime as dt
from collections.abc import Iterator

from lastack import quantities
from lastack.policy import sysctls
from lastack.policy.schema import documents, forms

_HEAD = f"""# The policy file

A policy says what is watched, what opens an incident and what may be done about it. `lastack policy check FILE`
says everything that is wrong with a file, each with its line and column; `lastack run` refuses a set of policies as
long as one of them is invalid, and keeps the old one in force.

The language is YAML 1.2: `true` and `false` are the only booleans, `off` and `yes` are text. A file may hold several
policies, separated by `---`. A field appears once; a field that is not in this page is an error. A field marked
*not yet* belongs to the language and is refused by this version, never ignored.

Durations are written `500ms`, `30s`, `5m`, `1h30m`, `7d`; rates `0.05/s`, `3/m`; shares `25%`.

Files must be owned by root or the user that lastack runs as, and writable by nobody else. Two policies never claim
one listener. `apiVersion` is `{documents.API_VERSION}`, `kind` is `{documents.KIND}`.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *_sections(documents.Document, "", set()), _sysctls()])


def _sections(form: type[forms.Form], path: str, seen: set[type[forms.Form]]) -> Iterator[str]:
    """A section for a form, and then for each form below it, in the order of the fields; each form once."""
    shapes = forms.shapes(form)
    if path:
        yield _section(path, form, shapes)
    for shape in shapes.values():
        # `when` is the same in every stage; everything else below a stage depends on its action.
        above = path.partition(" (")[0] if shape.name == "when" else path
        below = f"{above}.{shape.name}".removeprefix(".") + ("[]" if shape.many else "")
        for action, inner in shape.forms.items():
            if inner not in seen:
                seen.add(inner)
                yield from _sections(inner, f"{below} ({action})" if action else below, seen)


def _section(path: str, form: type[forms.Form], shapes: dict[str, forms.FieldShape]) -> str:
    rows = [f"## {path}", "", " ".join((form.__doc__ or "").split()), ""]
    if "action" in shapes and shapes["action"].later:
        rows += ["*Not yet*: a stage of this kind is refused by this version.", ""]
    rows += ["| field | type | default | meaning |", "|---|---|---|---|"]
    for shape in shapes.values():
        later = "*not yet*: " if shape.later else ""
        kind = shape.expected if shape.expected != forms.ANYTHING else ""
        cells = (f"`{shape.name}`", kind, _default(shape), f"{later}{shape.description}")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*rows, ""])


def _default(shape: forms.FieldShape) -> str:
    """A default as it would be written."""
    value = shape.default
    if shape.required:
        return "mandatory"
    if value is None or value == [] or isinstance(value, forms.Form):
        return ""
    return f"`{_written(value)}`"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.timedelta):
        return quantities.short(value)
    if isinstance(value, tuple):
        return ", ".join(f"{low}-{high}" for low, high in value)
    return str(value)


def _sysctls() -> str:
    rows = [
        "## Settings that a sysctl stage may lease",
        "",
        "| name | acts on | takes effect | scope | value | can help against |",
        "|---|---|---|---|---|---|",
    ]
    for entry in sysctls.CATALOGUE.values():
        helps = ", ".join(sorted(entry.helps)) or "nothing that lastack diagnoses"
        cells = (f"`{entry.name}`", entry.acts_on, entry.takes_effect, entry.scope, entry.grammar, helps)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([*rows, ""])
