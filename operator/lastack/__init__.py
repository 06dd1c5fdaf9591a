"""lastack: finds stalled TCP services, keeps evidence, heals them and writes it up.

Imported by everybody, therefore it imports nothing. The version stands here, where the build reads it: to ask the
installed distribution for it would cost the long-lived process a megabyte of packages.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
