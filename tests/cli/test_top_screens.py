"""The screen of top fits its width, says what there is to say, and keys do what the help says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import re

import pytest

from lastack.cli import top_keys, top_rows, top_screens, top_tables, top_views
from lastack.engine import findings, samples
from lastack.policy import vocabulary
from tests.cli import top_makers

Code, Key, Order, Severity = top_makers.Code, top_keys.Key, top_rows.Order, top_makers.Severity
SECOND = dt.timedelta(seconds=1)
VIEW = top_views.View(SECOND)
STALLED = top_makers.row(
    8081,
    address="192.168.100.100",
    command="gunicorn-with-a-name",
    pid=1234567,
    code=Code.ACCEPT_STALL,
    severity=Severity.CRITICAL,
    depth=51,
    drops=12.5,
    close_waits=(51, 8, 0, 3),
    files=0.97,
)
LEAKING = top_makers.row(
    443, code=Code.FD_LEAK, severity=Severity.WARNING, close_waits=(0, 0, 123_456, None), limit=4096
)
WELL = top_makers.row(80, drops=None, files=None, close_waits=(None, 0, 0, None), depth=1, limit=4096)
ALL = (WELL, LEAKING, STALLED)


def screen(
    view: top_views.View = VIEW, width: int = 80, height: int = 24, rows: tuple[top_rows.Row, ...] = ALL
) -> list[str]:
    """The screen without colours or reversed letters."""
    lines = top_screens.render(view, top_makers.table(*rows), (width, height), coloured=False)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


def test_eighty_columns_show_everything() -> None:
    """Address, owner, queue, drops, classes, files, diagnosis; the ones in trouble first."""
    lines = screen()
    assert "LISTENER        OWNER        QUEUE       DROP/S CLOSEWAIT FD%  DIAGNOSIS▼" == lines[2].rstrip()
    assert ["accept-stall", "fd-leak", "healthy"] == [line.split()[-1] for line in lines[3:6]]
    assert ["[||||51/50]", "12.5", "51/8/0/3", "97%"] == lines[3].split()[-5:-1]
    assert "0/0/123k/-" not in lines[4]
    assert ["0", "123k", "13%", "fd-leak"] == lines[4].split()[-4:]
    assert ["1/4096]", "-", "-/0/0/-", "-", "healthy"] == lines[5].split()[-5:]
    assert "3 listeners: 1 critical, 1 warning" in lines[0]
    assert "waiting 52  drops 12.5/s  CLOSE_WAIT 51/8/123456/3  ambient drops 12.6/s" in lines[1]


@pytest.mark.parametrize("width", [40, 41, 59, 60, 79, 80, 81, 99, 100, 119, 120, 200])
@pytest.mark.parametrize("pane", list(top_views.Pane))
@pytest.mark.parametrize("netns", [False, True])
def test_no_line_is_wider_than_the_screen(width: int, pane: top_views.Pane, netns: bool) -> None:
    """At any width, with anything in it; and no more lines than the screen has."""
    view = dataclasses.replace(VIEW, pane=pane, netns=netns, selected=STALLED.key, words="")
    for height in (5, 24):
        lines = screen(view, width, height)
        assert height == len(lines)
        assert [] == [line for line in lines if len(line) > width]


def test_the_port_and_the_pid_are_never_cut() -> None:
    """They are what one goes on with."""
    line = screen()[3]
    assert ":8081 " in line
    assert " 1234567 " in line


@pytest.mark.parametrize("width", [1, 20, 39])
def test_a_screen_that_is_too_narrow_says_so(width: int) -> None:
    """And how wide it has to be."""
    lines = screen(width=width)
    assert "lastack top needs 40 columns" in "".join(lines) or width == 1
    assert [] == [line for line in lines if len(line) > width]


def test_colours_are_only_colours() -> None:
    """Without them the same letters stand there; what is chosen is still reversed."""
    table = top_makers.table(*ALL)
    plain = top_screens.render(VIEW, table, (80, 24), coloured=False)
    coloured = top_screens.render(VIEW, table, (80, 24), coloured=True)
    strip = functools.partial(re.sub, r"\x1b\[[0-9;]*m", "")
    assert [strip(line) for line in coloured] == [strip(line) for line in plain]
    assert "\x1b[31m" in "".join(coloured)
    assert {"7", "0"} == set(re.findall(r"\x1b\[([0-9;]*)m", "".join(plain)))


def test_what_cannot_be_seen_is_said() -> None:
    """On a line of its own, with the next step; and an empty table is no silence."""
    hidden = (("netns/all", samples.Missing("not permitted: 7 namespaces", "run as root")),)
    table = top_makers.table(missing=hidden)
    lines = [
        re.sub(r"\x1b\[0m", "", line) for line in top_screens.render(VIEW, table, (80, 24), coloured=False)
    ]
    assert "not seen: netns/all: not permitted: 7 namespaces; run as root" == lines[2]
    assert "nothing could be seen" == lines[4]
    assert "no listeners" == screen(rows=())[3]
    assert "looking ..." in top_screens.render(VIEW, None, (80, 24), coloured=False)[0]


def test_a_cause_stands_beside_its_diagnosis() -> None:
    """With the peer, where there is one; an unknown one is not worth a word."""
    confidence = vocabulary.Confidence.HIGH
    down = findings.Cause(vocabulary.CauseKind.DOWNSTREAM, "threadDump", confidence, peer="10.9.0.7:7000")
    unknown = findings.Cause(vocabulary.CauseKind.UNKNOWN, None, confidence)
    rows = (top_makers.row(1, code=Code.HANDLER_STALL, cause=down), top_makers.row(2, cause=unknown))
    text = "\n".join(screen(width=140, rows=rows))
    assert "handler-stall: downstream 10.9.0.7:7000"[:26] in text
    assert "unknown" not in text


def test_the_details_say_everything_about_one() -> None:
    """The words of diagnose, every signal, and why a dash is one; scrolled no further than its end."""
    view = dataclasses.replace(VIEW, pane=top_views.Pane.DETAILS, selected=WELL.key)
    text = "\n".join(screen(view, height=60))
    assert "healthy  *:80  java 4711" in text
    assert re.search(r"acceptQueue\.limit +4096", text)
    assert "-: cannot be seen" in text
    last = screen(dataclasses.replace(view, scrolled=10_000), height=10)
    assert "-: cannot be seen" in last[-2]
    gone = dataclasses.replace(view, selected=("listener", 9, 5, 5))
    assert "It is gone" in "\n".join(screen(gone))


def test_the_help_names_every_key() -> None:
    """Each that does something."""
    view = dataclasses.replace(VIEW, pane=top_views.Pane.HELP)
    text = "\n".join(screen(view, height=60))
    for key in ("PgUp", "Home", "Enter", "/ F3 F4", "s F6", "Space", "t  ", "+ -", "h ? F1", "q F10 Esc"):
        assert key in text
    assert "QUEUE" in text


def pressed(*keys: top_keys.Pressed, rows: tuple[top_rows.Row, ...] = ALL, height: int = 2) -> top_views.View:
    """The view after some keys."""
    view = VIEW
    for key in keys:
        shown = top_rows.arranged(rows, view.order, view.words)
        view = top_views.pressed(top_views.moved(view, shown, height), key, shown, height)
    return view


KEYS: dict[tuple[top_keys.Pressed, ...], dict[str, object]] = {
    ("q",): {"quits": True},
    (Key.F10,): {"quits": True},
    (Key.ESCAPE,): {"quits": True},
    ("x",): {},
    (Key.DOWN,): {"selected": LEAKING.key},
    ("j", "j"): {"selected": WELL.key, "top": 1},
    (Key.DOWN,) * 9: {"selected": WELL.key, "top": 1},
    (Key.DOWN, Key.UP): {"selected": STALLED.key},
    (Key.UP,): {"selected": STALLED.key},
    (Key.PAGE_DOWN,): {"selected": WELL.key, "top": 1},
    (Key.END, Key.PAGE_UP): {"selected": STALLED.key},
    (Key.END, Key.HOME): {"selected": STALLED.key},
    (Key.ENTER,): {"pane": top_views.Pane.DETAILS, "selected": STALLED.key},
    (Key.ENTER, Key.ENTER): {"selected": STALLED.key},
    (Key.ENTER, "q"): {"selected": STALLED.key},
    (Key.ENTER, Key.DOWN, Key.DOWN, Key.UP): {
        "pane": top_views.Pane.DETAILS,
        "selected": STALLED.key,
        "scrolled": 1,
    },
    ("h",): {"pane": top_views.Pane.HELP},
    ("?", "?"): {},
    (Key.F1, Key.ESCAPE): {},
    (Key.F1, "x"): {"pane": top_views.Pane.HELP},
    (Key.F1, " "): {"pane": top_views.Pane.HELP, "paused": True},
    (" ",): {"paused": True},
    (" ", " "): {},
    ("s",): {"order": Order.QUEUE},
    (Key.F6,) * len(Order): {},
    (Key.DOWN, "s"): {"order": Order.QUEUE},
    ("t",): {"netns": True},
    ("+",): {"every": 2 * SECOND},
    ("+",) * 9: {"every": 10 * SECOND},
    ("-",) * 9: {"every": SECOND / 2},
    ("/",): {"typing": True},
    (Key.F3, "q", "9", Key.ERASE): {"typing": True, "words": "q"},
    (Key.F4, "q", Key.ENTER): {"words": "q"},
    ("/", "q", Key.ESCAPE): {},
    ("/", Key.ERASE, Key.UP): {"typing": True},
}


@pytest.mark.parametrize("keys", KEYS, ids=str)
def test_a_key_does_what_the_help_says(keys: tuple[top_keys.Pressed, ...]) -> None:
    """And nothing else."""
    assert dataclasses.replace(VIEW, **KEYS[keys]) == pressed(*keys)  # type: ignore[arg-type] # fields, by name


def test_no_key_fails_where_there_are_no_rows() -> None:
    """An empty table can be looked at, too."""
    for key in (*Key, "j", "k", "s", "t", "/", " ", "q"):
        assert pressed(key, rows=()).selected is None


def test_a_selection_stays_on_its_listener() -> None:
    """However rows are sorted meanwhile; when it is gone the first is chosen."""
    view = pressed(Key.DOWN)
    worse = dataclasses.replace(LEAKING, depth=4000)
    shown = top_rows.arranged((WELL, STALLED, worse), Order.QUEUE, "")
    after = top_views.moved(view, shown, 2)
    assert LEAKING.key == shown[top_views.index_of(after, shown)].key
    left = top_rows.arranged((WELL, STALLED), Order.TROUBLE, "")
    assert 0 == top_views.index_of(after, left)


ORDERS = {
    Order.TROUBLE: [8081, 443, 80],
    Order.QUEUE: [8081, 80, 443],
    Order.DROPS: [8081, 80, 443],
    Order.CLOSE_WAIT: [443, 8081, 80],
    Order.FILES: [8081, 443, 80],
    Order.PORT: [80, 443, 8081],
    Order.OWNER: [8081, 80, 443],
}


@pytest.mark.parametrize("order", list(Order))
def test_rows_are_sorted_by_each_column(order: top_rows.Order) -> None:
    """What is most worth looking at first; equals by their port."""
    assert ORDERS[order] == [row.item.port for row in top_rows.arranged(ALL, order, "")]


def test_the_sorted_column_is_marked() -> None:
    """One mark, in the column that the footer names."""
    for order in Order:
        header = screen(dataclasses.replace(VIEW, order=order), width=140)[2]
        assert 1 == header.count("▼")


@pytest.mark.parametrize(
    ("words", "ports"),
    [
        ("", [80, 443, 8081]),
        ("GUNI", [8081]),
        ("java leak", [443]),
        ("critical", [8081]),
        (":80", [80, 8081]),
        ("zz", []),
    ],
)
def test_words_choose_rows(words: str, ports: list[int]) -> None:
    """All of them have to be there: in address, owner, diagnosis or severity."""
    assert ports == [row.item.port for row in top_rows.arranged(ALL, Order.PORT, words)]


def test_a_name_from_the_world_draws_nothing() -> None:
    """Escape sequences in a process name are shown as what they are: not letters."""
    bad = top_makers.row(1, command="a\x1b[2Jb\r\n", code=Code.HEALTHY)
    for pane in top_views.Pane:
        view = dataclasses.replace(VIEW, pane=pane, selected=bad.key)
        text = "".join(top_screens.render(view, top_makers.table(bad), (80, 24), coloured=False))
        assert "\x1b[2J" not in text
        assert "\r" not in text


def test_queue_bars_grow_with_the_queue() -> None:
    """Empty, one, half, full, over; large numbers are shortened before the bar is lost."""
    columns = top_tables.layout(80, netns=False)
    bars = {
        depth: re.sub(
            r"\x1b\[[0-9;]*m",
            "",
            top_tables.line(top_makers.row(depth=depth, limit=limit), columns, selected=False),
        )[29:40]
        for depth, limit in ((0, 50), (1, 50), (25, 50), (51, 50), (40_000, 65_535))
    }
    expected = {
        0: "[     0/50]",
        1: "[|    1/50]",
        25: "[||||25/50]",
        51: "[||||51/50]",
        40_000: "[||40k/65k]",
    }
    assert expected == bars
