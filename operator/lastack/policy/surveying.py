"""Looks at the names of a document: unknown, missing and repeated ones, fields of a later version or without value.

Called by loading before the values are validated; walks the document beside the forms of the schema.
"""

from lastack.policy import findings, problems, scalars
from lastack.policy.schema import documents, forms

Values = dict[str, object]


def survey(document: Values) -> tuple[findings.Finding, ...]:
    """What is wrong with the names of one document, as read."""
    surveyor = _Surveyor()
    surveyor.mapping(documents.Document, document, (), supported=True)
    return tuple(surveyor.found)


class _Surveyor:
    """One walk through one document."""

    def __init__(self) -> None:
        self.found: list[findings.Finding] = []

    def mapping(
        self, form: type[forms.Form], values: Values, path: findings.Path, *, supported: bool
    ) -> None:
        """One mapping and everything in it. Inside of an unsupported field nothing is unsupported once more."""
        shapes = forms.shapes(form)
        meant = set()
        for name, value in values.items():
            here = (*path, name)
            if name not in shapes:
                meant.add(problems.nearest(name, shapes))
                self.found.append(_unknown(here, values, shapes))
            elif value is None:
                message = f"{findings.written(here)} is empty; expected a value, or the field left out"
                self.found.append(findings.error(here, "empty-value", message))
            else:
                self._field(shapes[name], value, here, supported=supported)
        for name, shape in shapes.items():
            if shape.required and name not in values and name not in meant:
                message = f"{findings.written((*path, name))} is missing; expected {shape.expected}"
                self.found.append(findings.error(path, "missing-field", message, of_key=True))

    def _field(self, shape: forms.FieldShape, value: object, path: findings.Path, *, supported: bool) -> None:
        later = shape.later and supported
        if later and shape.name != "action":
            message = f"{findings.written(path)} {scalars.NOT_SUPPORTED}; expected it left out"
            self.found.append(findings.error(path, "not-supported-yet", message, of_key=True))
        if shape.many and isinstance(value, list):
            items = [((*path, index), item) for index, item in enumerate(value) if isinstance(item, dict)]
            self._names_once(items)
        else:
            items = [(path, value)] if isinstance(value, dict) and not shape.many else []
        for at, item in items:
            self._item(shape, item, at, supported=supported and not later)

    def _item(self, shape: forms.FieldShape, item: Values, path: findings.Path, *, supported: bool) -> None:
        """One mapping that a field holds; of several forms its `action` chooses one."""
        if "" in shape.forms:
            self.mapping(shape.forms[""], item, path, supported=supported)
        elif shape.forms:
            self._chosen(shape.forms, item, path)

    def _chosen(self, choices: dict[str, type[forms.Form]], item: Values, path: findings.Path) -> None:
        action, here = item.get("action"), (*path, "action")
        have = [word for word, form in choices.items() if not _is_later(form)]
        expected = problems.listed(have)
        if isinstance(action, str) and action in choices:
            if _is_later(choices[action]):
                message = f"{findings.written(here)} is {action}, which {scalars.NOT_SUPPORTED}; expected {expected}"
                self.found.append(findings.error(here, "not-supported-yet", message))
            self.mapping(choices[action], item, path, supported=True)
        elif "action" not in item:
            message = f"{findings.written(here)} is missing; expected {expected}"
            self.found.append(findings.error(path, "missing-field", message))
        else:
            message = f"{findings.written(here)} is {problems.shown(action)}; expected {expected}"
            hint = problems.did_you_mean(action, choices) if isinstance(action, str) else ""
            self.found.append(findings.error(here, "bad-value", message, hint))

    def _names_once(self, items: list[tuple[findings.Path, Values]]) -> None:
        first: dict[str, findings.Path] = {}
        for path, item in items:
            name = item.get("name")
            if isinstance(name, str) and name in first:
                here, there = findings.written((*path, "name")), findings.written(first[name])
                message = (
                    f"{here} is {problems.quoted(name)} like that of {there}; expected a name of its own"
                )
                self.found.append(findings.error((*path, "name"), "duplicate-name", message))
            elif isinstance(name, str):
                first[name] = path


def _is_later(form: type[forms.Form]) -> bool:
    return forms.shapes(form)["action"].later


def _unknown(path: findings.Path, values: Values, shapes: dict[str, forms.FieldShape]) -> findings.Finding:
    action = values.get("action")
    of = f" of a {action} stage" if isinstance(action, str) and "action" in shapes else ""
    have = [name for name, shape in shapes.items() if not shape.later or name == "action"] or list(shapes)
    hint = problems.did_you_mean(str(path[-1]), shapes)
    message = f"{findings.written(path)} is not a field{of}; expected {problems.listed(have)}"
    return findings.error(path, "unknown-field", message, hint, of_key=True)
