"""Windows of looks, kept just long enough to judge by: extended with each sample, flat in memory. Called by watches."""

from collections.abc import Mapping

from lastack.engine import samples, thresholds

Key = tuple[int, int, int]
"""Network namespace, cookie of the LISTEN socket, owning pid: another value of any is another listener or life."""

Windows = Mapping[Key, samples.Window]


def extend(before: Windows, looks: tuple[samples.Look, ...]) -> dict[Key, samples.Window]:
    """The windows with these looks at their ends; a listener that was not seen this time has no window any more."""
    after = {}
    for look in looks:
        key = (look.namespace.inode, look.listener.cookie, look.owner.pid or 0)
        earlier = before[key].looks if key in before else ()
        after[key] = _trimmed((*earlier, look))
    return after


def _trimmed(looks: tuple[samples.Look, ...]) -> samples.Window:
    """Drop what is older than needed: enough looks, over enough time, and no more."""
    while len(looks) > thresholds.WINDOW_SAMPLES:
        shorter = samples.Window(looks[1:])
        if shorter.length < thresholds.WINDOW_SPAN:
            break
        looks = looks[1:]
    return samples.Window(looks)
