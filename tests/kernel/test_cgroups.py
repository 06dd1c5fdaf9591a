"""Which unit and which container a control group belongs to, as every engine writes its paths."""

import pathlib

import pytest

from lastack.kernel import cgroups


@pytest.mark.parametrize(
    ("where", "unit", "container"),
    [
        ("/system.slice/device-api@1.service", "device-api@1.service", None),
        ("/system.slice/system-x.slice/x@2.service/inner", "x@2.service", None),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "user@1000.service", None),
        ("/system.slice/docker-" + "a" * 64 + ".scope", "docker-" + "a" * 64 + ".scope", "a" * 64),
        ("/docker/" + "b" * 64, None, "b" * 64),
        (
            "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + "c" * 64 + ".scope",
            "cri-containerd-" + "c" * 64 + ".scope",
            "c" * 64,
        ),
        ("/kubepods/besteffort/pod1/" + "d" * 64, None, "d" * 64),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2.slice/crio-"
            + "e" * 64
            + ".scope",
            "crio-" + "e" * 64 + ".scope",
            "e" * 64,
        ),
        ("/kubepods/burstable/pod2/crio-" + "e" * 64, None, "e" * 64),
        ("/machine.slice/libpod-" + "f" * 64 + ".scope", "libpod-" + "f" * 64 + ".scope", "f" * 64),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-"
            + "f" * 64
            + ".scope/container",
            "user@1000.service",
            "f" * 64,
        ),
        ("/libpod_parent/libpod-" + "f" * 64, None, "f" * 64),
        ("/default/" + "1" * 64, None, "1" * 64),
        ("/system.slice/nerdctl-" + "1" * 64 + ".scope", "nerdctl-" + "1" * 64 + ".scope", "1" * 64),
        (
            "/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" + "2" * 64,
            "containerd.service",
            "2" * 64,
        ),
        ("/docker/" + "a" * 64 + "/docker/" + "b" * 64, None, "b" * 64),
        ("/machine.slice/machine-web.scope/payload/system.slice/nginx.service", "machine-web.scope", "web"),
        ("/machine.slice/machine-my\\x2dbox.scope", "machine-my\\x2dbox.scope", "my-box"),
        ("/machine.slice/systemd-nspawn@web.service/payload/init.scope", "systemd-nspawn@web.service", "web"),
        ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "machine-qemu\\x2d1\\x2dvm.scope", None),
        ("/machine.slice/machine-lxc\\x2d99\\x2dweb.scope", "machine-lxc\\x2d99\\x2dweb.scope", "lxc-99-web"),
        ("/lxc/web", None, "web"),
        ("/lxc/101/ns/system.slice/nginx.service", None, "101"),
        ("/lxc.payload/web/system.slice/nginx.service", None, "web"),
        ("/lxc.payload.web/system.slice/nginx.service", None, "web"),
        ("/lxc.monitor.web", None, None),
        ("/lxc.payload.web/docker/" + "a" * 64, None, "a" * 64),
        ("/system.slice/" + "a" * 63, None, None),
        ("/", None, None),
    ],
)
def test_a_group_path_names_unit_and_container(where: str, unit: str | None, container: str | None) -> None:
    """As systemd and the container engines write them."""
    assert (unit, container) == (cgroups.unit(where), cgroups.container(where))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/system.slice/a.service\n", "/system.slice/a.service"),
        ("9:name=systemd:/system.slice/a.service\n4:memory:/x\n0::/\n", "/system.slice/a.service"),
        ("9:name=systemd:/\n4:memory:/docker/x\n0::/\n", "/docker/x"),
        ("0::/\n", "/"),
        (
            "11:cpu,cpuacct:/docker/y\n10:memory:/docker/y\n1:name=systemd:/docker/y\n0::/system.slice/x\n",
            "/docker/y",
        ),
        (
            "12:pids:/kubepods/besteffort/pod1/c\n1:name=systemd:/kubepods/besteffort/pod1/c\n",
            "/kubepods/besteffort/pod1/c",
        ),
        ("8:cpuset:/lxc/web\n1:name=systemd:/lxc/web/init.scope\n", "/lxc/web/init.scope"),
        ("5:memory:/a\n4:cpu:/a/b\n1:name=systemd:/\n", "/a/b"),
    ],
)
def test_the_group_is_chosen_from_version_1_2_and_both(text: str, expected: str) -> None:
    """systemd's own hierarchy first."""
    assert expected == cgroups.parse(text)


def test_the_processes_of_a_group_include_those_below(tmp_path: pathlib.Path) -> None:
    """A unit may delegate its group; version 1 keeps systemd's tree apart."""
    for root in (tmp_path / "v2", tmp_path / "v1" / "systemd"):
        (root / "a.service" / "inner").mkdir(parents=True)
        (root / "a.service" / "cgroup.procs").write_text("30\n", encoding="ascii")
        (root / "a.service" / "inner" / "cgroup.procs").write_text("7\n8\n", encoding="ascii")
    for top in ("v1", "v2"):
        assert (7, 8, 30) == cgroups.pids("/a.service", root=str(tmp_path / top))
