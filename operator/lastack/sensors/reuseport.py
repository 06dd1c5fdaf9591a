"""Whose accepted connections are whose, where several sockets listen on one address. Called by listeners.

The kernel gives every such socket a queue of its own, and no row says through which one it came; but whoever
accepted it holds it, and each process usually listens on one of the sockets only.
"""

from collections.abc import Mapping, Sequence

from lastack.engine import samples
from lastack.kernel import descriptors, sock_diag, socket_tables


def share_out(
    table: socket_tables.SocketTable,
    rows: Sequence[int],
    siblings: Sequence[sock_diag.Listener],
    holders: Mapping[int, tuple[samples.Pid, ...]],
) -> dict[int, list[int]]:
    """Cookie of a listener -> its accepted rows; what nobody accepted yet is left out, it belongs to no one.

    Siblings with the same holders cannot be told apart, and the holders of some cannot be seen: such rows go to
    one sibling, so that a sum over the address is right.
    """
    shares: dict[int, list[int]] = {each.cookie: [] for each in siblings}
    accepted = {table.inodes[index]: index for index in rows if table.inodes[index]}
    strangers = [each for each in siblings if not holders.get(each.inode)]
    for each in sorted(siblings, key=lambda sibling: sibling.cookie):
        for pid in holders.get(each.inode, ()):
            held = descriptors.sockets(pid, wanted=accepted.keys()) if accepted else {}
            if not isinstance(held, samples.Missing):
                shares[each.cookie].extend(accepted.pop(inode) for inode in held)
    shares[(strangers or siblings)[0].cookie].extend(accepted.values())
    return shares
