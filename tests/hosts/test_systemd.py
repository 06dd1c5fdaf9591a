"""The systemd host on real units of a real systemd: the contract, and what only systemd does."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import pathlib
import signal
import sys
from collections.abc import Iterator

import pytest

from lastack import errors, ports
from lastack.engine import actions, reasons
from lastack.hosts.systemd import bus, host, units
from lastack.policy import valid
from tests import waiting
from tests.box import boxes
from tests.contracts import service_host_contract
from tests.hosts import systemd_beds

WITHIN = dt.timedelta(seconds=20)
STEP = actions.StepId("incident-1/replace/1")


@pytest.fixture
def bed(box: boxes.Box) -> Iterator[systemd_beds.SystemdBed]:
    """An empty bed in the session's box."""
    made = systemd_beds.SystemdBed(box)
    yield made
    made.remove()


def replace(
    bed: systemd_beds.SystemdBed, name: actions.MemberName
) -> ports.Replaced | ports.ReplacementFailed:
    """Begin a replacement, which must be accepted, and follow it to its end with the same adapter."""
    adapter, expected = bed.host(), bed.life(name)
    assert ports.Begun() == adapter.begin_replacement(name, expected, STEP)
    return follow(adapter, name, expected)


def follow(
    adapter: ports.ServiceHost, name: actions.MemberName, expected: actions.Incarnation
) -> ports.Replaced | ports.ReplacementFailed:
    """The end of a replacement."""

    def look() -> list[ports.Replaced | ports.ReplacementFailed]:
        found = adapter.progress(name, expected, STEP)
        return [] if isinstance(found, ports.Waiting) else [found]

    (end,) = waiting.wait_until(look, within=WITHIN, what=f"the replacement of {name}")
    return end


def refused(bed: systemd_beds.SystemdBed, name: actions.MemberName) -> ports.HostRefused:
    """The refusal of a replacement; the census must show the same one before, and the life must go on."""
    member = bed.look(name)
    assert member.incarnation is not None
    assert member.hold is not None
    answer = bed.host().begin_replacement(name, member.incarnation, STEP)
    assert isinstance(answer, ports.HostRefused)
    assert member.hold.reason == answer.reason
    assert member.incarnation == bed.show(name, "InvocationID")
    return answer


class TestSystemdKeepsTheContract(service_host_contract.ServiceHostContract):
    """The claims of every ServiceHost, on systemd 252."""

    @pytest.fixture
    def bed(self, box: boxes.Box) -> Iterator[service_host_contract.Bed]:
        """Two quick units and one whose ExecStop takes its time."""
        made = systemd_beds.SystemdBed(box)
        quick, slow = (
            systemd_beds.UNLIMITED + text for text in (systemd_beds.QUICK, systemd_beds.SLOW_TO_STOP)
        )
        for short, text in (("quick", quick), ("other", quick), ("slow", slow)):
            made.add(short, text, start=False, reload=False)
        box.run(["systemctl", "daemon-reload"])
        box.run(["systemctl", "start", *made.names])
        yield made
        made.remove()


class TestMembers:
    """Who belongs to a target."""

    def test_a_glob_finds_the_instances_of_a_template(self, bed: systemd_beds.SystemdBed) -> None:
        """Each running instance is a member; replacing one leaves the other in its life."""
        template = bed.add("api@", systemd_beds.QUICK, start=False)
        one, two = (actions.MemberName(template.replace("@.", f"@{n}.")) for n in (1, 2))
        bed.box.run(["systemctl", "start", one, two])
        census = bed.host().members(valid.SystemdTarget(units=(template.replace("@.", "@*."),)))
        assert [one, two] == [member.name for member in census.members]
        untouched = bed.life(two)
        assert isinstance(replace(bed, one), ports.Replaced)
        assert untouched == bed.life(two)

    def test_a_named_unit_that_does_not_run_is_a_member_without_a_life(
        self, bed: systemd_beds.SystemdBed
    ) -> None:
        """A stopped unit counts as not available; it is not left out."""
        name = bed.add("stopped", systemd_beds.QUICK, start=False)
        census = bed.host().members(valid.SystemdTarget(units=(name.removesuffix(".service"),)))
        (member,) = census.members
        assert (name, None, (), False) == (member.name, member.incarnation, member.pids, member.ready)
        assert census.missing is None

    def test_a_named_unit_that_does_not_exist_is_missing(self, bed: systemd_beds.SystemdBed) -> None:
        """systemd's not-found is told by name, and no member is invented."""
        census = bed.host().members(valid.SystemdTarget(units=("never-written.service",)))
        assert () == census.members
        assert census.missing is not None
        assert "never-written.service" in census.missing.why

    def test_pids_are_those_of_the_unit_s_cgroup(self, bed: systemd_beds.SystemdBed) -> None:
        """Asked inside the box, so that pids are of one namespace: main process and child, not one more."""
        family = "[Service]\nExecStart=/bin/sh -c 'sleep 1000 & exec sleep 1001'\n"
        name = bed.add("family", family)
        script = (
            "import sys; from lastack.hosts.systemd import host; from lastack.policy import valid\n"
            "h = host.SystemdHost(); (m,) = h.members(valid.SystemdTarget(units=(sys.argv[1],))).members\n"
            "h.close(); print(m.main_pid, *m.pids)"
        )
        source = {"PYTHONPATH": str(boxes.SOURCE_ROOT / "operator")}
        main, *pids = bed.box.run([sys.executable, "-c", script, name], env=source).stdout.split()
        group = bed.show(name, "ControlGroup")
        oracle = bed.box.run(["cat", f"/sys/fs/cgroup{group}/cgroup.procs"]).stdout.split()
        assert sorted(oracle, key=int) == pids
        assert bed.show(name, "MainPID") == main
        assert 2 == len(pids)

    def test_the_host_of_another_kind_of_target_is_a_defect(self, bed: systemd_beds.SystemdBed) -> None:
        """Wiring that gives a supervised target to systemd is found at once."""
        with pytest.raises(errors.InvariantBroken):
            bed.host().members(valid.SupervisedTarget("demo"))


class TestRefusals:
    """What is refused with a reason instead of being tried."""

    def test_a_unit_at_its_start_limit_is_refused_and_stays_up(self, bed: systemd_beds.SystemdBed) -> None:
        """Two starts of two are used: a third by hand really would fail the unit, ours is not asked for."""
        limit = "[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=1h\n"
        name = bed.add("limited", limit + systemd_beds.QUICK)
        bed.box.run(["systemctl", "restart", name])
        answer = refused(bed, name)
        assert reasons.Reason.START_LIMIT == answer.reason
        assert "2 times within 1h" in answer.text
        assert "active" == bed.show(name, "ActiveState")
        assert 0 != bed.box.run(["systemctl", "restart", name], check=False).returncode
        assert ("failed", "start-limit-hit") == (bed.show(name, "ActiveState"), bed.show(name, "Result"))

    def test_the_first_life_of_a_limited_unit_may_be_replaced(self, bed: systemd_beds.SystemdBed) -> None:
        """It never stopped, so one start is used, and the second of two is safe."""
        limit = "[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=1h\n"
        name = bed.add("limited", limit + systemd_beds.QUICK)
        assert isinstance(replace(bed, name), ports.Replaced)

    def test_a_masked_unit_is_refused(self, bed: systemd_beds.SystemdBed) -> None:
        """It runs, but after a stop it would not come back."""
        name = bed.name("masked")
        runtime = f"/run/systemd/system/{name}"
        bed.box.path(runtime).parent.mkdir(parents=True, exist_ok=True)
        bed.box.path(runtime).write_text(systemd_beds.QUICK)
        bed.box.run(["systemctl", "start", name])
        bed.box.run(["systemctl", "mask", name])
        assert reasons.Reason.NOT_PERMITTED == refused(bed, name).reason
        bed.box.run(["systemctl", "unmask", name])
        bed.box.run(["systemctl", "stop", name])
        bed.box.path(runtime).unlink()

    def test_a_unit_that_refuses_manual_starts_is_refused(self, bed: systemd_beds.SystemdBed) -> None:
        """RefuseManualStop is somebody's word, and is read before the act."""
        name = bed.add("aloof", "[Unit]\nRefuseManualStop=yes\n" + systemd_beds.QUICK)
        assert reasons.Reason.NOT_PERMITTED == refused(bed, name).reason
        bed.add("aloof", systemd_beds.QUICK, start=False)

    def test_a_due_daemon_reload_holds(self, bed: systemd_beds.SystemdBed) -> None:
        """Somebody is changing the unit: which version would start is not for us to decide."""
        name = bed.add("edited", systemd_beds.QUICK)
        bed.box.write_unit(name, systemd_beds.QUICK + "Nice=1\n", reload=False)
        answer = refused(bed, name)
        assert reasons.Reason.CHANGE_IN_PROGRESS == answer.reason
        assert "daemon-reload" in answer.text

    @pytest.mark.parametrize("verb", ["stop", "restart"])
    def test_a_job_that_somebody_else_queued_holds(self, bed: systemd_beds.SystemdBed, verb: str) -> None:
        """The job is named with its kind and number."""
        name = bed.add("slow", systemd_beds.SLOW_TO_STOP)
        bed.box.run(["systemctl", verb, "--no-block", name])
        answer = refused(bed, name)
        assert reasons.Reason.CHANGE_IN_PROGRESS == answer.reason
        assert f"a {verb} job" in answer.text

    def test_a_unit_that_somebody_stopped_is_not_started(self, bed: systemd_beds.SystemdBed) -> None:
        """The expected life is over and there is none: AlreadyReplaced(None), and it stays stopped."""
        name = bed.add("stopped", systemd_beds.QUICK)
        expected = bed.life(name)
        bed.box.run(["systemctl", "stop", name])
        assert ports.AlreadyReplaced(None) == bed.host().begin_replacement(name, expected, STEP)
        assert "inactive" == bed.show(name, "ActiveState")

    def test_a_bus_that_denies_the_restart_is_not_permitted(self, bed: systemd_beds.SystemdBed) -> None:
        """Access denied is a refusal with a reason; looking still works."""
        name = bed.add("denied", systemd_beds.QUICK)
        policy = bed.box.path("/etc/dbus-1/system.d/deny-restart.conf")
        policy.write_text(
            '<busconfig><policy context="mandatory"><deny send_destination="org.freedesktop.systemd1"'
            ' send_interface="org.freedesktop.systemd1.Manager" send_member="TryRestartUnit"/></policy></busconfig>'
        )
        bed.box.run(["systemctl", "reload", "dbus"])
        try:
            answer = bed.host().begin_replacement(name, bed.life(name), STEP)
        finally:
            policy.unlink()
            bed.box.run(["systemctl", "reload", "dbus"])
        assert isinstance(answer, ports.HostRefused)
        assert reasons.Reason.NOT_PERMITTED == answer.reason


class TestProgress:
    """What counts as replaced, and what does not."""

    def test_a_simple_service_that_dies_at_once_has_failed(self, bed: systemd_beds.SystemdBed) -> None:
        """systemd calls the job done before the program can fail; the settle time sees it fail."""
        once = "/bin/sh -c 'test -e $$F || { touch $$F; exec sleep 1000; }; sleep 0.1; exit 7'"
        flag = f"/run/{bed.name('brief')}.flag"
        name = bed.add("brief", f"[Service]\nEnvironment=F={flag}\nExecStart={once}\n")
        waiting.wait_until(lambda: bed.box.path(flag).exists(), within=WITHIN, what="the first life")
        ended = replace(bed, name)
        assert isinstance(ended, ports.ReplacementFailed)
        assert "exit status 7" in ended.text

    def test_a_service_that_dies_again_and_again_is_never_replaced(
        self, bed: systemd_beds.SystemdBed
    ) -> None:
        """Restart=always makes a new life after each death; none of them lasts, and the limit ends it."""
        once = "/bin/sh -c 'test -e $$F || { touch $$F; exec sleep 1000; }; sleep 0.1; exit 7'"
        flag = f"/run/{bed.name('loop')}.flag"
        text = f"[Service]\nEnvironment=F={flag}\nExecStart={once}\nRestart=always\nRestartSec=50ms\n"
        name = bed.add("loop", text)
        waiting.wait_until(lambda: bed.box.path(flag).exists(), within=WITHIN, what="the first life")
        ended = replace(bed, name)
        assert isinstance(ended, ports.ReplacementFailed)
        assert "failed" == bed.show(name, "ActiveState")

    def test_a_slow_start_is_waited_for(self, bed: systemd_beds.SystemdBed) -> None:
        """While it is activating it is Waiting; only its own READY=1 makes it a life."""
        ready = "/bin/sh -c 'sleep 0.6; systemd-notify --ready; exec sleep 1000'"
        name = bed.add("notify", f"[Service]\nType=notify\nNotifyAccess=all\nExecStart={ready}\n")
        adapter, expected = bed.host(), bed.life(name)
        assert ports.Begun() == adapter.begin_replacement(name, expected, STEP)
        waiting.wait_until(
            lambda: "activating" == bed.show(name, "ActiveState"), within=WITHIN, what="the start to begin"
        )
        assert isinstance(adapter.progress(name, expected, STEP), ports.Waiting)
        ended = follow(adapter, name, expected)
        assert ports.Replaced(expected, bed.life(name)) == ended

    def test_a_start_that_runs_into_its_own_time_limit_has_failed(self, bed: systemd_beds.SystemdBed) -> None:
        """TimeoutStartSec is systemd's bound, and it is the one that counts."""
        once = "/bin/sh -c 'test -e $$F || { touch $$F; systemd-notify --ready; }; exec sleep 1000'"
        text = f"[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=500ms\nExecStart={once}\n"
        flag = f"/run/{bed.name('never')}.flag"
        name = bed.add("never", text + f"Environment=F={flag}\n")
        ended = replace(bed, name)
        assert isinstance(ended, ports.ReplacementFailed)
        assert "timeout" in ended.text

    def test_a_job_that_somebody_cancelled_is_not_ours_any_more(self, bed: systemd_beds.SystemdBed) -> None:
        """A stop replaces our restart; that it was started again later is not claimed as our doing."""
        name = bed.add("slow", systemd_beds.SLOW_TO_STOP)
        adapter, expected = bed.host(), bed.life(name)
        assert ports.Begun() == adapter.begin_replacement(name, expected, STEP)
        bed.box.run(["systemctl", "stop", name])
        bed.box.run(["systemctl", "start", name])
        ended = follow(adapter, name, expected)
        assert isinstance(ended, ports.ReplacementFailed)
        assert "canceled" in ended.text

    def test_a_killed_process_s_replacement_is_finished_by_another(
        self, bed: systemd_beds.SystemdBed
    ) -> None:
        """A program in the box begins and is killed with SIGKILL; a new adapter sees the same restart end, once."""
        name = bed.add("slow", systemd_beds.SLOW_TO_STOP)
        expected = bed.life(name)
        script = (
            "import sys, time; from lastack.hosts.systemd import host; h = host.SystemdHost()\n"
            "print(h.begin_replacement(sys.argv[1], sys.argv[2], 'step'), flush=True); time.sleep(60)"
        )
        source = {"PYTHONPATH": str(boxes.SOURCE_ROOT / "operator")}
        with bed.box.popen([sys.executable, "-c", script, name, expected], env=source) as program:
            assert program.stdout is not None
            assert "Begun()\n" == program.stdout.readline()
            program.kill()
        assert bed.host().in_progress(name, expected)
        ended = follow(bed.host(), name, expected)
        assert ports.Replaced(expected, bed.life(name)) == ended


class TestTheBus:
    """The bus may go away and come back, and systemd may be silent."""

    def test_a_bus_that_restarts_is_found_again(self, bed: systemd_beds.SystemdBed) -> None:
        """While it is gone the host says so; when it is back the same adapter goes on with its replacement."""
        name = bed.add("slow", systemd_beds.SLOW_TO_STOP)
        adapter, expected = bed.host(), bed.life(name)
        assert ports.Begun() == adapter.begin_replacement(name, expected, STEP)
        bed.box.run(["systemctl", "stop", "dbus.socket", "dbus.service"])
        try:
            with pytest.raises(errors.Transient, match="cannot be reached"):
                adapter.members(bed.target)
        finally:
            bed.box.run(["systemctl", "start", "dbus.socket", "dbus.service"])
        waiting.wait_until(lambda: is_back(adapter, bed.target), within=WITHIN, what="the bus")
        ended = follow(adapter, name, expected)
        assert ports.Replaced(expected, bed.life(name)) == ended

    def test_a_silent_systemd_is_said_to_be_silent(self, bed: systemd_beds.SystemdBed) -> None:
        """A stopped PID 1 costs one bounded wait, and is no census without members."""
        bed.add("quick", systemd_beds.QUICK)
        adapter = host.SystemdHost(bed.address, within=dt.timedelta(milliseconds=200))
        bed.hosts.append(adapter)
        adapter.members(bed.target)
        with silenced(bed.box), pytest.raises(errors.NotReachable, match="did not answer"):
            adapter.members(bed.target)
        assert 1 == len(adapter.members(bed.target).members)

    def test_an_unanswered_restart_is_done_at_most_once(self, bed: systemd_beds.SystemdBed) -> None:
        """The call had left when systemd fell silent: it is NoAnswer, and the unit tells what became of it."""
        name = bed.add("quick", systemd_beds.QUICK)
        before = bed.life(name)
        system = bus.SystemBus(bed.address, within=dt.timedelta(milliseconds=200))
        call = bus.Call(units.MANAGER_PATH, units.MANAGER, "TryRestartUnit", "ss", (name, "fail"))
        system.read([units.processes_call(name)])
        with silenced(bed.box):
            assert isinstance(system.act(call), bus.NoAnswer)
        system.close()
        end = follow(bed.host(), name, before)
        log = bed.box.run(["journalctl", "--output=cat", f"--unit={name}"]).stdout
        stops = sum(line.startswith("Stopped") for line in log.splitlines())
        assert (1 if isinstance(end, ports.Replaced) else 0) == stops

    def test_no_bus_at_all_says_where_it_was_sought(self, tmp_path: pathlib.Path) -> None:
        """The address is in the sentence."""
        adapter = host.SystemdHost(f"unix:path={tmp_path}/nothing")
        with pytest.raises(errors.Transient, match=f"{tmp_path}/nothing"):
            adapter.members(valid.SystemdTarget(units=("a.service",)))


@contextlib.contextmanager
def silenced(box: boxes.Box) -> Iterator[None]:
    """Stop the box's PID 1 for a while."""
    os.kill(box.leader_pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(box.leader_pid, signal.SIGCONT)


def is_back(adapter: ports.ServiceHost, target: valid.Target) -> bool:
    """Whether the adapter reaches systemd (again)."""
    try:
        adapter.members(target)
    except errors.Transient:
        return False
    return True
