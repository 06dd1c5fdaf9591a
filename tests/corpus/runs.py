"""Runs cells of the corpus, side by side as far as they do not disturb each other.

Called by __main__ and test_corpus.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import subprocess
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any

from tests.corpus import expectations, rooms, shapes
from tests.scenarios import grounds

RECORDED_FOR = "6s"
_PATIENCE_SECONDS = 180


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one cell. `document` and `sockets` are what the program and ss said, for a fault.

    `void` says why a healthy server was not healthy, or a sick one not sick: the verdict then proves nothing.
    """

    cell: shapes.Cell
    verdict: expectations.Verdict
    exit_code: int
    clients: tuple[dict[str, Any], ...]
    document: dict[str, Any]
    sockets: str
    said: str
    void: str | None

    def row(self) -> dict[str, Any]:
        """As it stands in the JSON of a run: the verdict without what it rests on."""
        verdict = dataclasses.asdict(self.verdict)
        verdict["missing"], verdict["faults"] = list(self.verdict.missing), list(self.verdict.faults)
        return {
            "server": self.cell.server.name,
            "condition": self.cell.condition.name,
            "sick": self.cell.sick,
            **verdict,
            "void": self.void,
        }

    def case(self) -> str:
        """Everything that one needs to see why a verdict was wrong."""
        return "\n\n".join(
            [
                f"# {self.cell.name}: {self.cell.condition.story}",
                "\n".join(self.verdict.faults),
                json.dumps(self.document, indent=1),
                self.sockets,
                f"clients: {json.dumps(self.clients)}",
                f"server: {self.said}",
            ]
        )


def run(
    cells: Iterable[shapes.Cell],
    folder: pathlib.Path,
    *,
    jobs: int,
    recordings: pathlib.Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Generator[Outcome, None, None]:
    """Run the cells, those that keep a core busy one by one at the end; yields each as it is done.

    Those that take longest begin first. `recordings` is a folder for a recording of each ripe cell.
    """
    chosen = sorted(cells, key=lambda cell: -cell.ripens_seconds)
    for server in {cell.server.name: cell.server for cell in chosen}.values():
        if server.build is not None:
            tell(f"building {server.name}")
            server.build()
    heavy = [cell for cell in chosen if cell.condition.heavy]
    patient = [cell for cell in chosen if cell.condition.patient]
    others = [cell for cell in chosen if not cell.condition.heavy and not cell.condition.patient]
    over = threading.Event()
    with contextlib.ExitStack() as stack:

        def begun(cells: list[shapes.Cell], side_by_side: int) -> list[concurrent.futures.Future[Outcome]]:
            pool = stack.enter_context(
                concurrent.futures.ThreadPoolExecutor(max_workers=max(1, side_by_side))
            )
            return [pool.submit(_attempt, cell, folder, recordings, over) for cell in cells]

        # Those that take minutes do next to nothing in them: they need no place among the others.
        running = [*begun(patient, len(patient)), *begun(others, jobs)]
        stack.callback(over.set)  # before the pools are awaited: whoever still ripens is woken up
        for done in concurrent.futures.as_completed(running):
            yield done.result()
        for cell in heavy:
            yield _attempt(cell, folder, recordings, over)


def _attempt(
    cell: shapes.Cell, folder: pathlib.Path, recordings: pathlib.Path | None, over: threading.Event
) -> Outcome:
    """What cannot be run proves nothing, and does not end the others."""
    try:
        return _run_one(cell, folder, recordings, over)
    except (AssertionError, subprocess.SubprocessError, OSError) as problem:
        verdict = expectations.nothing()
        return Outcome(cell, verdict, -1, (), {}, "", "", f"it could not be run: {problem}")


def _run_one(
    cell: shapes.Cell, folder: pathlib.Path, recordings: pathlib.Path | None, over: threading.Event
) -> Outcome:
    assert not over.is_set(), "the run was interrupted"
    with rooms.opened(cell, folder / cell.name) as room:
        room.begin()
        # A disease has to grow old: nothing can be awaited but the time itself, and the end of the run.
        assert not over.wait(cell.ripens_seconds), "the run was interrupted"
        recording = (
            None if recordings is None else _begin_recording(room, recordings / f"{cell.name}.lastack")
        )
        before = room.dropped()
        exit_code, document = _finished(room.ground.begin_diagnosis())
        dropped = room.dropped() - before
        sockets = room.sockets()
        if recording is not None:
            _, problem = recording.communicate(timeout=_PATIENCE_SECONDS)
            assert recording.returncode == 0, f"{cell.name}: {problem}"
        clients = tuple(room.end_clients())
        said = room.said()
    verdict = expectations.judge(cell, document)
    return Outcome(cell, verdict, exit_code, clients, document, sockets, said, _void(cell, clients, dropped))


def _void(cell: shapes.Cell, clients: tuple[dict[str, Any], ...], dropped: int) -> str | None:
    """Why the server cannot be called what the cell says in this run; asked of its clients and of the kernel."""
    if cell.condition.overflows and not dropped:
        return "the kernel dropped nothing while it was looked at"
    if not cell.condition.served or cell.sick:
        return None
    for tally in clients:
        if tally.get("failures", 1) or not tally.get("answers"):
            return f"its clients say: {json.dumps(tally)}"
    return None


def _finished(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and document of a diagnosis, which takes its time beside so many others."""
    try:
        out, problem = process.communicate(timeout=_PATIENCE_SECONDS)
    finally:
        process.kill()
    assert out, problem
    return process.returncode, json.loads(out)


def _begin_recording(room: rooms.Room, path: pathlib.Path) -> subprocess.Popen[str]:
    command = [grounds.PROGRAM, "record", str(path), "--force", "--netns", str(room.ground.pid)]
    return subprocess.Popen(
        [*command, "--for", RECORDED_FOR], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
