"""Invalid policies as tables: each mistake with the code, the place and the very sentence that it gets."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    """An invalid policy: what it is, the edits that make it so, and (code, LINE:COLUMN: sentence) of each problem."""

    what: str
    edits: list[tuple[str, str]]
    expected: list[tuple[str, str]]
