"""Settings of the process itself: where policies and state are, what is kept. Nothing about remediation."""

import dataclasses
import pathlib

STATE_DIR = pathlib.Path("/var/lib/lastack")
POLICY_DIR = pathlib.Path("/etc/lastack/policies.d")


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Where policies and state are, and how much is kept."""

    state_dir: pathlib.Path = STATE_DIR
    policy_dir: pathlib.Path = POLICY_DIR
    keep_free_bytes: int = 64 * 1024 * 1024
    """No new act begins with less room than this on the state directory's file system."""
    evidence_max_bytes: int = 16 * 1024 * 1024
    """One evidence file, before compression; what is beyond is cut and the cut is said in the file."""
    checkpoint_every_seconds: int = 300
