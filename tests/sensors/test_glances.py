"""Glances between two looks: what a burst leaves in a queue for a moment only."""

from lastack import ports
from lastack.engine import samples
from lastack.sensors import memories
from tests.sensors import given


def test_a_burst_between_two_looks_is_the_peak_of_the_next() -> None:
    """The deepest queue that a glance met, and the shallowest; the look after the next one has forgotten them."""

    def work() -> list[tuple[int, int | None, int | None]]:
        with given.service() as service:
            eye = given.eye()
            selection = ports.Selection(ports=frozenset({service.port}))
            seen = [given.look(eye, service, deep=False)]
            for amount in (5, 2):
                for _ in range(amount):
                    service.connect()
                eye.glance(selection)
                for _ in range(amount - 1):
                    service.accept()
                eye.glance(selection)
                service.accept()
            seen += [given.look(eye, service, deep=False) for _ in range(2)]
            return [(look.listener.depth, look.listener.peak, look.listener.trough) for look in seen]

    assert [(0, None, None), (0, 5, 0), (0, None, None)] == given.alone(work)


def test_a_queue_that_is_full_at_every_look_may_have_been_empty_between() -> None:
    """The smallest depth that a glance met, or the look itself."""

    def work() -> list[tuple[int, int | None]]:
        with given.service() as service:
            eye = given.eye()
            seen = [given.look(eye, service, deep=False)]
            service.connect()
            seen.append(given.await_look(eye, service, lambda look: look.listener.depth == 1, what="one"))
            service.accept()
            eye.glance(ports.Selection())
            service.connect()
            seen.append(
                given.await_look(eye, service, lambda look: look.listener.depth == 1, what="one more")
            )
            return [(look.listener.depth, look.listener.trough) for look in seen]

    assert [(0, None), (1, None), (1, 0)] == given.alone(work)


def test_the_queue_of_the_look_itself_counts_for_its_peak() -> None:
    """A queue that grew since the glance is the peak."""

    def work() -> samples.ListenerSample:
        with given.service() as service:
            eye = given.eye()
            given.look(eye, service, deep=False)
            eye.glance(ports.Selection())
            service.connect()
            return given.await_look(
                eye, service, lambda look: look.listener.depth == 1, what="a connection"
            ).listener

    assert 1 == given.alone(work).peak


def test_a_glance_at_what_is_not_there_says_nothing() -> None:
    """The next look says why; and a listener that nobody looked at is not remembered."""

    def work() -> int | None:
        eye = given.eye()
        eye.glance(ports.Selection(netns_path="/run/netns/nowhere"))
        with given.service() as service:
            service.connect()
            eye.glance(ports.Selection())
            return given.look(eye, service, deep=False).listener.peak

    assert given.alone(work) is None


def test_memory_is_flat_whatever_comes_and_goes() -> None:
    """Listeners that closed are forgotten with the next look, namespaces that nobody looks into after a thousand."""
    kept = memories.ListenerMemories()
    for look in range(5000):
        kept.keep((look, 1), given.rows([1]))
        kept.keep((7, look), given.rows([1]))
        kept.end_look(look, {1})
        kept.end_look(7, {look})
    assert len(kept) <= 1001
