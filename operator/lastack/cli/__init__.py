"""The command line; called by the `lastack` script."""

from __future__ import annotations

import click


@click.group()
@click.version_option(package_name="lastack")
def main() -> None:
    """Find out why a TCP service is stalled, keep the evidence, heal it and write it up."""
