"""Secrets that programs put into thread names: masked before anything is shown or written into the ledger. Pure.

Servers name threads after what they do, and that may hold a URL with a password or a token. Used by `stacks`. The raw
dump in the evidence store keeps them, for root's eyes only.
"""

import re

MASK = "***"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ of a URL
    (re.compile(r"(://)[^/@\s]*@"), rf"\g<1>{MASK}@"),
    # password=..., token: ..., Authorization: Bearer ...
    (
        re.compile(
            r"(?i)\b((?:[\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key|credentials?|session[_-]?id))"
            r"|authorization)(\s*[=:]\s*(?:bearer\s+|basic\s+)?)[^\s,;&)\]]+"
        ),
        rf"\g<1>\g<2>{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)(?=\S*[0-9+/=_])[A-Za-z0-9+/=._~-]{8,}"), rf"\g<1>\g<2>{MASK}"),
    # A JSON web token, and keys of well-known services.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), MASK),
    (
        re.compile(
            r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}"
        ),
        MASK,
    ),
)


def masked(text: str) -> str:
    """The text with what looks like a secret replaced by `***`; everything else as it is."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
