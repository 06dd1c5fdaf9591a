"""The whole exception tree; raised everywhere, turned into exit codes by cli.

    LastackError
    ├── AuthorError            what somebody wrote is wrong: exit 2
    │   ├── UsageError         a command line
    │   ├── PolicyError        a policy set; carries every problem found
    │   └── NotARecording      a file that was given to be replayed
    ├── WorldError             the world does not allow or answer it: exit 3
    │   ├── NotPermitted       a right is missing
    │   ├── NotReachable       nobody answers there, or it is gone
    │   │   └── Transient      worth another try: the only class that is retried
    │   ├── Unsupported        this kernel or system does not have it
    │   ├── KernelReplyError   the kernel's answer could not be read
    │   ├── StateHeld          another lastack holds the state directory
    │   ├── StateUnusable      the state directory is newer, full or foreign
    │   │   └── StateDamaged   the ledger's database is not whole: the writer sets it aside
    │   └── NotAnEntry         a line of a ledger that no lastack wrote
    ├── Refused                a guard said no: exit 4
    └── InvariantBroken        a defect of lastack itself: never caught, except to log it

Retryability is a type: `retrying` tries again on Transient and on nothing else.
Failures of an act are not exceptions at all: they are values (engine.outcomes).
"""


class LastackError(Exception):
    """Root of everything that lastack raises on purpose; `str()` is a sentence for people."""

    exit_code = 3

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        """Keep what happened (`message`) and the next step (`fix`, if one is known)."""
        super().__init__(message)
        self.message = message
        self.fix = fix

    @property
    def sentence(self) -> str:
        """What happened and the next step on one line, for outcomes and logs."""
        return f"{self.message}; {self.fix}" if self.fix else self.message


class AuthorError(LastackError):
    """Something that a person wrote is wrong, and only that person can put it right."""

    exit_code = 2


class UsageError(AuthorError):
    """A command line that cannot be meant."""


class PolicyError(AuthorError):
    """A policy set that cannot be used; the message holds one line per problem."""


class NotARecording(AuthorError):
    """A file that no lastack recorded, or one that is newer than this."""


class WorldError(LastackError):
    """The world does not allow, answer or hold what was asked."""


class NotPermitted(WorldError):
    """A right is missing; `fix` names the capability or the user."""


class NotReachable(WorldError):
    """Nobody answers, or the thing is not there (any more)."""


class Transient(NotReachable):
    """A failure that may pass by itself within seconds; the only one that is retried."""


class Unsupported(WorldError):
    """This kernel or system lacks the feature."""


class KernelReplyError(WorldError):
    """A reply of the kernel is cut, malformed or of a shape that this program does not know."""


class StateHeld(WorldError):
    """Another process holds the lock of the state directory."""


class StateUnusable(WorldError):
    """The state directory cannot be used as it is; nothing in it was changed."""


class StateDamaged(StateUnusable):
    """The ledger's database cannot be read as a whole ledger; its writer sets it aside and rebuilds it."""


class NotAnEntry(WorldError):
    """A line that stands in a ledger and cannot be read as one of its entries."""


class Refused(LastackError):
    """A guard said no to something that a person asked for."""

    exit_code = 4


class InvariantBroken(LastackError):
    """A defect of lastack: something that cannot happen did."""

    exit_code = 70
