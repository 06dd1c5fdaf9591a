"""The catalogue of sysctls: total, and each answer as the kernel was measured to behave."""

import itertools

import pytest

from lastack.policy import sysctls, vocabulary

Code = vocabulary.DiagnosisCode
SOMAXCONN, SYN_BACKLOG, COOKIES = (
    "net.core.somaxconn",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_syncookies",
)


@pytest.mark.parametrize(("name", "diagnosis"), list(itertools.product(sysctls.CATALOGUE, Code)))
def test_every_setting_has_an_answer_to_every_diagnosis(name: str, diagnosis: Code) -> None:
    """A clause that stands alone, for every pair; a yes only where the entry says that it can help at all."""
    states = [
        sysctls.SysctlState(),
        sysctls.SysctlState({SOMAXCONN: "128", SYN_BACKLOG: "128", COOKIES: "0"}, 128, None),
        sysctls.SysctlState({SOMAXCONN: "128", SYN_BACKLOG: "128", COOKIES: "0"}, 128, "1"),
    ]
    answers = [sysctls.judge(name, diagnosis, state) for state in states]
    entry = sysctls.CATALOGUE[name]

    assert all(answer.why and answer.why == answer.why.strip(" .;") for answer in answers)
    assert (diagnosis in entry.helps) == any(answer.can for answer in answers)
    assert not answers[0].can


def test_nothing_helps_a_service_that_is_well_or_not_understood() -> None:
    """No setting is ever offered for what is no disease."""
    for name, diagnosis in itertools.product(
        sysctls.CATALOGUE, (Code.HEALTHY, Code.UNKNOWN, Code.HALF_CLOSE_IN_USE)
    ):
        assert not sysctls.judge(name, diagnosis, sysctls.SysctlState()).can


S = sysctls.SysctlState


@pytest.mark.parametrize(
    ("name", "diagnosis", "state", "can", "why"),
    [
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, 128, "4096"), True, "somaxconn 128 caps the"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, 128), True, "somaxconn 128 caps the"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, 50, "4096"), False, "the listener's limit is 50 and"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, 128, "128"), False, "128 is not more than"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, 512, "256"), False, "256 is not more than"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, 512, "4096"), True, "somaxconn 128 caps the"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, 512), False, "the listener's limit is 512, above"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, None), False, "caps the listen backlog, but the l"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({}, 128), False, "caps the listen backlog, but the present value"),
        (SOMAXCONN, Code.BACKLOG_TOO_SMALL, S({SOMAXCONN: "128"}, 128, "lots"), False, "'lots' is not a number"),
        (SOMAXCONN, Code.ACCEPT_STALL, S(), False, "a longer accept queue only buys room"),
        (SOMAXCONN, Code.OVERLOAD, S(), False, "a longer accept queue makes clients wait longer"),
        (SYN_BACKLOG, Code.SYN_PRESSURE, S({SYN_BACKLOG: "128", COOKIES: "1"}), False, "inert while tcp_syncookies"),
        (SYN_BACKLOG, Code.SYN_PRESSURE, S({SYN_BACKLOG: "128", COOKIES: "0"}, None, "4096"), True, "tcp_syncookies"),
        (SYN_BACKLOG, Code.SYN_PRESSURE, S({SYN_BACKLOG: "128", COOKIES: "0"}, None, "64"), False, "64 is not more"),
        (SYN_BACKLOG, Code.SYN_PRESSURE, S({SYN_BACKLOG: "128", COOKIES: "0"}, 96, "4096"), True, "tcp_syncookies"),
        (SYN_BACKLOG, Code.SYN_PRESSURE, S({SYN_BACKLOG: "128", COOKIES: "0"}, 95), False, "the listener's limit of"),
        (SOMAXCONN, Code.SYN_PRESSURE, S(), False, "caps the backlog, by which the SYN queue is bounded too"),
        (SOMAXCONN, Code.FD_EXHAUSTION, S(), False, "a longer accept queue only buys room; nobody can be accepted"),
        (SOMAXCONN, Code.HANDLER_STALL, S(), False, "caps the accept queue; here connections are accepted"),
        (SYN_BACKLOG, Code.SYN_PRESSURE, S({SYN_BACKLOG: "128"}), False, "acts only while tcp_syncookies is 0, and"),
        (COOKIES, Code.SYN_PRESSURE, S({COOKIES: "0"}, None, "1"), True, "is 0: with 1 a full SYN queue"),
        (COOKIES, Code.SYN_PRESSURE, S({COOKIES: "0"}, None, "0"), False, "0 is the present value"),
        (COOKIES, Code.SYN_PRESSURE, S({COOKIES: "1"}), False, "is 1 already"),
        (COOKIES, Code.SYN_PRESSURE, S(), False, "answers a full SYN queue with cookies, but"),
        (
            "net.ipv4.tcp_fin_timeout",
            Code.ACCEPT_STALL,
            S(),
            False,
            "acts on orphaned FIN_WAIT2, which is the other side of a CLOSE_WAIT; here finished connections wait",
        ),
        ("net.ipv4.tcp_keepalive_time", Code.FD_LEAK, S(), False, "acts on sockets with SO_KEEPALIVE that are made"),
        ("net.ipv4.tcp_syn_retries", Code.BACKLOG_TOO_SMALL, S(), False, "acts on this host as a client"),
        ("net.ipv4.tcp_abort_on_overflow", Code.BACKLOG_TOO_SMALL, S(), False, "makes no room"),
        ("kernel.threads-max", Code.FD_LEAK, S(), False, "is not in the catalogue"),
    ],
)  # fmt: skip
def test_a_setting_helps_only_where_it_acts(
    name: str, diagnosis: Code, state: sysctls.SysctlState, can: bool, why: str
) -> None:
    """The numbers of the case decide, and the clause names them."""
    answer = sysctls.judge(name, diagnosis, state)

    assert can == answer.can
    assert answer.why.startswith(why), answer.why


def test_keepalive_says_what_it_leaves_behind() -> None:
    """Rows may vanish; the files stay open, so the leak stays."""
    assert sysctls.judge("net.ipv4.tcp_keepalive_time", Code.FD_LEAK, S()).why.endswith("the files stay open")


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        (SOMAXCONN, "1", True),
        (SOMAXCONN, "2147483647", True),
        (SOMAXCONN, "2147483648", False),
        (SOMAXCONN, "0", False),
        (SOMAXCONN, "-1", False),
        (SOMAXCONN, "1 2", False),
        (COOKIES, "2", True),
        (COOKIES, "3", False),
        ("net.ipv4.tcp_syn_retries", "127", True),
        ("net.ipv4.tcp_syn_retries", "128", False),
        ("net.ipv4.tcp_keepalive_probes", "255", True),
        ("net.ipv4.tcp_keepalive_probes", "256", False),
        ("net.ipv4.tcp_rmem", "4096 87380 6291456", True),
        ("net.ipv4.tcp_rmem", "4096 6291456 87380", False),
        ("net.ipv4.tcp_rmem", "4096 87380", False),
        ("net.ipv4.tcp_rmem", "0 1 2", False),
        ("net.ipv4.tcp_rmem", "a b c", False),
    ],
)
def test_a_value_fits_the_ranges_that_the_kernel_takes(name: str, value: str, fits: bool) -> None:
    """One number or three in order."""
    assert fits == (sysctls.CATALOGUE[name].wrong(value) is None)


def test_the_nine_settings_of_the_origin_story_are_answered() -> None:
    """Each is in the catalogue, and the values that they had and set can be written."""
    assert 9 == len({setting.name for setting in sysctls.ORIGIN_SETTINGS})
    for setting in sysctls.ORIGIN_SETTINGS:
        entry = sysctls.CATALOGUE[setting.name]
        assert (None, None) == (entry.wrong(setting.had), entry.wrong(setting.set_to))


def test_scope_and_moment_are_those_of_the_kernel() -> None:
    """What waits for listen(), and what exists once per host."""
    by_scope = {name for name, entry in sysctls.CATALOGUE.items() if entry.scope is sysctls.Scope.HOST}
    at_listen = {
        name
        for name, entry in sysctls.CATALOGUE.items()
        if entry.takes_effect is sysctls.TakesEffect.NEXT_LISTEN
    }

    assert {SOMAXCONN} == at_listen
    assert {
        "net.core.netdev_max_backlog",
        "net.core.rmem_max",
        "net.core.wmem_max",
        "net.ipv4.tcp_max_orphans",
        "net.ipv4.tcp_mem",
    } == by_scope
