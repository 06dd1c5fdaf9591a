"""lastack: finds stalled TCP services, keeps evidence, heals them and writes it up.

Imported by everybody, therefore it imports nothing at load time.
"""

from __future__ import annotations

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """The version, read from the installed distribution only when somebody asks for it."""
    if name == "__version__":
        from importlib import metadata

        return metadata.version("lastack")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
