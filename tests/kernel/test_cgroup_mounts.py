"""Where the files of a group stand, on every layout of the hierarchies that hosts and containers show."""

import pytest

from lastack.kernel import cgroup_mounts

V2 = "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
)
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
IN_DOCKER_V1 = (
    "700 690 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "701 690 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n"
)
OF_ANOTHER = "30 23 0:27 /../.. /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
WITH_A_SPACE = "30 23 0:27 / /sys/fs/my\\040cgroup rw - cgroup2 cgroup2 rw\n"
OTHERS = "21 23 0:20 / /proc rw - proc proc rw\n22 23 8:1 / / rw - ext4 /dev/sda1 rw\n\n"


@pytest.mark.parametrize(
    ("mounts", "controller", "where", "expected"),
    [
        (V2, "", "/a.slice/b.service", ("/a.slice/b.service", "/a.slice", "")),
        (V2, "", "/", ("",)),
        (V2, "cpu", "/a.slice", None),
        (V1, "cpu", "/docker/abc", ("/cpu,cpuacct/docker/abc", "/cpu,cpuacct/docker", "/cpu,cpuacct")),
        (V1, "cpuacct", "/", ("/cpu,cpuacct",)),
        (V1, "memory", "/docker/abc", ("/memory/docker/abc", "/memory/docker", "/memory")),
        (V1, "", "/docker/abc", None),
        (HYBRID, "", "/a.slice", ("/unified/a.slice", "/unified")),
        (IN_DOCKER_V1, "cpu", "/docker/abc", ("/cpu,cpuacct",)),
        (IN_DOCKER_V1, "cpu", "/docker/abc/inner", ("/cpu,cpuacct/inner", "/cpu,cpuacct")),
        (IN_DOCKER_V1, "memory", "/docker/another", None),
        (IN_DOCKER_V1, "memory", "/docker/abcdef", None),
        (V2, "", "/../../outside", None),
        (V2, "", "/..", None),
        (OF_ANOTHER, "", "/", None),
        (OF_ANOTHER, "", "/a.slice", None),
    ],
)
def test_a_group_is_found_below_the_part_of_its_tree_that_is_mounted(
    mounts: str, controller: str, where: str, expected: tuple[str, ...] | None
) -> None:
    """With every group above it; a group that the mount or the own cgroup namespace does not show is not."""
    trees = cgroup_mounts.parse_trees(OTHERS + mounts)
    folders = tuple(f"/sys/fs/cgroup{folder}" for folder in expected or ())
    assert folders == cgroup_mounts.folders(trees, controller, where)


def test_a_mount_point_may_hold_a_space() -> None:
    """mountinfo writes it in octal."""
    trees = cgroup_mounts.parse_trees(WITH_A_SPACE)
    assert ("/sys/fs/my cgroup/a", "/sys/fs/my cgroup") == cgroup_mounts.folders(trees, "", "/a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/system.slice/a.service\n", {"": "/system.slice/a.service"}),
        (
            "9:name=systemd:/a\n4:memory:/b\n1:cpu,cpuacct:/c\n0::/d\n",
            {"name=systemd": "/a", "memory": "/b", "cpu": "/c", "cpuacct": "/c", "": "/d"},
        ),
        ("0::/odd:name\n", {"": "/odd:name"}),
    ],
)
def test_the_groups_of_a_process_are_told_by_controller(text: str, expected: dict[str, str]) -> None:
    """Version 1 names its controllers, version 2 none."""
    assert expected == cgroup_mounts.parse_groups(text)


def test_the_trees_of_this_machine_are_there() -> None:
    """Whatever its layout: the own group has a folder."""
    trees = cgroup_mounts.read_trees()
    assert isinstance(trees, tuple)
    assert trees
