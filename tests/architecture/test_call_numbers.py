"""The table of system calls is that of the kernel's own headers."""

import pathlib
import re

import pytest

from lastack.kernel import call_numbers

X86_HEADER = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
GENERIC_HEADER = pathlib.Path("/usr/include/asm-generic/unistd.h")


@pytest.mark.parametrize(("machine", "header"), [("x86_64", X86_HEADER), ("aarch64", GENERIC_HEADER)])
def test_the_numbers_are_those_of_the_kernel_s_headers(machine: str, header: pathlib.Path) -> None:
    """Every name of the table has the number that linux-libc-dev gives it."""
    assert header.exists(), f"{header} is not there: apt-get install linux-libc-dev"
    # The generic table names what is of 64 bits on a 64-bit machine __NR3264_sendfile.
    defined = re.findall(
        r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(encoding="ascii"), re.MULTILINE
    )
    numbers = {name: int(number) for name, number in defined}
    expected = {numbers[name]: name for name in call_numbers.NUMBERS[machine].values()}
    assert expected == call_numbers.NUMBERS[machine]
