"""`lastack run`: the host process. Called by the `lastack` script; systemd or a person starts it."""

import contextlib
import dataclasses
import pathlib
import signal
import sys
import threading
import tomllib
from typing import Any

import click

from lastack import errors, settings
from lastack.observability import logs


@click.command()
@click.option(
    "--policies",
    "policy_dir",
    type=click.Path(path_type=pathlib.Path, readable=False),
    help=f"Directory of policies (*.yaml); {settings.POLICY_DIR} by default.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=pathlib.Path, readable=False),
    help=f"Ledger, evidence and records; {settings.STATE_DIR} by default.",
)
@click.option(
    "--config",
    type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False),
    help="Settings of the process (TOML).",
)
def run(policy_dir: pathlib.Path | None, state_dir: pathlib.Path | None, config: pathlib.Path | None) -> None:
    """Watch this host and remediate as policies allow.

    Without a policy that says `mode: enforce` nothing is changed, and everything that would have been is on record.
    SIGHUP reads the policies again; SIGTERM or Ctrl-C ends within five seconds, between steps.
    """
    from lastack import bootstrap  # wires every adapter, which `--help` does without

    configured = _configured(config, policy_dir, state_dir)
    logs.set_up(json=not sys.stderr.isatty())
    stop = threading.Event()
    process = bootstrap.host_process(configured)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    signal.signal(signal.SIGHUP, lambda _number, _frame: process.reload_policies())
    process.run(stop)


def _configured(
    config: pathlib.Path | None, policy_dir: pathlib.Path | None, state_dir: pathlib.Path | None
) -> settings.Settings:
    """Defaults, then the file, then the command line."""
    known = {field.name: field for field in dataclasses.fields(settings.Settings)}
    chosen: dict[str, Any] = {}
    if config is not None:
        for name, value in _read(config).items():
            if name not in known:
                names = ", ".join(known)
                raise errors.UsageError(f"{config}: unknown setting {name!r}", fix=f"known are: {names}")
            chosen[name] = _setting(config, name, value, is_path=known[name].type is pathlib.Path)
    if policy_dir is not None:
        chosen["policy_dir"] = policy_dir
    if state_dir is not None:
        chosen["state_dir"] = state_dir
    return settings.Settings(**chosen)


def _setting(config: pathlib.Path, name: str, value: object, *, is_path: bool) -> pathlib.Path | int:
    if is_path and isinstance(value, str):
        return pathlib.Path(value)
    if not is_path and isinstance(value, int) and not isinstance(value, bool):
        return value
    kind = "a path as text" if is_path else "a whole number"
    raise errors.UsageError(f"{config}: {name} is {value!r}; expected {kind}")


def _read(config: pathlib.Path) -> dict[str, Any]:
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(config.open("rb"))
            return tomllib.load(file)
        except OSError as problem:
            raise errors.UsageError(f"{config} cannot be read: {problem.strerror}") from problem
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise errors.UsageError(f"{config} is not TOML: {problem}") from problem
