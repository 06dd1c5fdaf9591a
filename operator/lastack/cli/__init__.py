"""The command line; `main` is called by the `lastack` script.

Every command is imported when it is called and not before: `--help` is fast, and the long-lived process carries
nothing that only other commands need.
"""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from lastack import errors

_COMMANDS = {
    "demo": (
        "lastack.cli.demo:demo",
        "Watch a real stalled service being healed, on this machine, in about a minute.",
    ),
    "diagnose": ("lastack.cli.diagnose:diagnose", "One look: which disease, what helps, what cannot."),
    "top": ("lastack.cli.top:top", "Every listener live, the ones in trouble first."),
    "record": ("lastack.cli.record:record", "Keep what diagnose looks at in a file, to send and replay it."),
    "dump": ("lastack.cli.dump:dump", "Thread dump of a process, grouped."),
    "run": ("lastack.cli.run:run", "Watch this host and remediate as policies allow."),
    "status": ("lastack.cli.status:status", "What a running lastack sees, and why it does or does not act."),
    "policy": ("lastack.cli.policy:policy_group", "Check policies."),
    "incidents": ("lastack.cli.incidents:incidents_group", "What happened: list, show, report."),
    "ledger": ("lastack.cli.ledger:ledger_group", "The audited history: verify, export."),
    "sysctl": ("lastack.cli.sysctl:sysctl_group", "Leased settings: list them, give them back."),
    "pause": ("lastack.cli.pause:pause", "Nothing new begins, with a reason and an end."),
    "resume": ("lastack.cli.pause:resume", "Acts may begin again."),
    "lab": ("lastack.cli.lab:lab", "Run one disease to look at it."),
}


class _Lazy(click.Group):
    """A group that knows its commands by name and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order in which a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import the command."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """List the commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])


@click.group(cls=_Lazy)
@click.version_option(package_name="lastack")
def group() -> None:
    """Find out why a TCP service is stalled, keep the evidence, heal it and write it up."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 findings, 2 usage, 3 world, 4 refused, 130 interrupted."""
    if sys.stdout is None:  # closed by the caller, as with >&-, who wants the exit code alone
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    stdout = sys.stdout
    try:
        result = group.main(arguments, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as wrong:
        wrong.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        return 130
    except errors.LastackError as problem:
        from lastack.cli import printing

        printing.complain(problem)
        return problem.exit_code
    except BrokenPipeError:
        return _unread()
    except SystemExit:
        # When whoever reads has gone click wraps stdout and leaves with 1, which here means findings.
        if sys.stdout is stdout:
            raise
        return _unread()
    return result if isinstance(result, int) else 0


def _unread() -> int:
    """Whoever read our output has gone: no error, and the interpreter must not try to flush the rest at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
