"""`lastack policy check` as a script calls it."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.policy import documents

PROGRAM = "from lastack.cli import policy; policy.policy_group(prog_name='lastack policy')"


def check(*arguments: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in the folder of its files."""
    folder = next((argument.parent for argument in arguments if isinstance(argument, pathlib.Path)), None)
    words = [argument.name if isinstance(argument, pathlib.Path) else argument for argument in arguments]
    command = [sys.executable, "-c", PROGRAM, "check", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def valid(tmp_path: pathlib.Path) -> pathlib.Path:
    """A valid policy file."""
    file = tmp_path / "api.yaml"
    file.write_text(documents.VALID, encoding="utf-8")
    file.chmod(0o644)
    return file


def edited(valid: pathlib.Path, *edits: tuple[str, str]) -> pathlib.Path:
    """The file with its policy edited."""
    valid.write_text(documents.edited(*edits), encoding="utf-8")
    return valid


WARNED = ("      restore: {after: 7d}\n", "")
WARNING = (
    "api.yaml:16:7: warning: spec.stages[1] has no restore.after: its values stay until somebody restores them; "
    "expected restore: {after: 7d} or another time\n"
)


def test_a_valid_policy_is_silent_on_stdout(valid: pathlib.Path) -> None:
    """Nothing to say is status 0, and the summary goes to people."""
    done = check(valid)

    assert (0, "", "0 errors, 0 warnings in 1 file\n") == (done.returncode, done.stdout, done.stderr)


def test_an_error_is_status_2_at_its_line_and_column(valid: pathlib.Path) -> None:
    """FILE:LINE:COLUMN first, so that an editor jumps there."""
    done = check(edited(valid, ("sampleEvery", "sampelEvery"), WARNED))

    assert (
        "api.yaml:10:3: error: spec.sampelEvery is not a field; expected target, mode, probe, sampleEvery, triggers, "
        "stages or limits (did you mean sampleEvery?)\n"
    ) == done.stdout
    assert (2, "1 error, 0 warnings in 1 file\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize(("options", "status"), [((), 0), (("--strict",), 1)])
def test_a_warning_counts_only_under_strict(
    valid: pathlib.Path, options: tuple[str, ...], status: int
) -> None:
    """For a pipeline that wants no doubt."""
    done = check(edited(valid, WARNED), *options)

    assert (status, WARNING, "0 errors, 1 warning in 1 file\n") == (done.returncode, done.stdout, done.stderr)


def test_json_is_one_document_also_when_there_is_nothing_to_say(valid: pathlib.Path) -> None:
    """Scripts read `problems`."""
    done = check(valid, "-o", "json")

    assert (0, []) == (done.returncode, json.loads(done.stdout)["problems"])


def test_json_has_a_row_with_every_field_for_each_problem(valid: pathlib.Path) -> None:
    """A hint that is not there is null."""
    done = check(
        edited(valid, ("mode: enforce", "mode: off"), ("sampleEvery: 5s", "sampleEvery: 5")), "-o", "json"
    )

    assert [
        {
            "file": "api.yaml",
            "line": 5,
            "column": 9,
            "severity": "error",
            "code": "bad-value",
            "message": 'spec.mode is "off"; expected observe or enforce',
            "hint": None,
        },
        {
            "file": "api.yaml",
            "line": 10,
            "column": 16,
            "severity": "error",
            "code": "wrong-type",
            "message": "spec.sampleEvery is the number 5; expected a duration from 200ms to 5m, like 5s",
            "hint": "did you mean 5s?",
        },
    ] == json.loads(done.stdout)["problems"]


def test_a_file_that_is_not_there_is_a_problem_beside_the_others(valid: pathlib.Path) -> None:
    """One missing file hides nothing of the others."""
    done = check(edited(valid, WARNED), "none.yaml")

    assert WARNING + (
        "none.yaml:1:1: error: cannot be read: No such file or directory; expected a policy file\n"
    ) == (done.stdout)
    assert 2 == done.returncode


def test_a_directory_stands_for_its_policy_files(valid: pathlib.Path) -> None:
    """As `lastack run` reads it, and a file that is named twice is read once."""
    second = valid.parent / "web.yaml"
    second.write_text(documents.edited(("name: api", "name: web")), encoding="utf-8")
    second.chmod(0o644)
    done = check(valid, ".", valid)

    assert 2 == done.returncode
    assert done.stdout.startswith('web.yaml:7:23: error: policies "web" and "api" (api.yaml:1) both claim')
    assert done.stderr.endswith("in 2 files\n")


def test_a_file_that_others_can_write_is_a_warning_here(valid: pathlib.Path) -> None:
    """`run` refuses it; who checks a file in an editor is told."""
    valid.chmod(0o666)
    done = check(valid)

    assert (
        "api.yaml:1:1: warning: writable by its group and others (mode 0666); expected by its owner only "
        "(chmod go-w api.yaml)\n"
    ) == done.stdout
    assert 0 == done.returncode


def test_no_file_is_a_usage_error() -> None:
    """Status 2 and how it is meant."""
    done = check()

    assert (2, "") == (done.returncode, done.stdout)
    assert "FILE" in done.stderr


def test_a_name_that_drives_a_terminal_is_printed_plain(valid: pathlib.Path) -> None:
    """Neither file names nor values reach the terminal as they are."""
    strange = valid.parent / "a\x1b[31m.yaml"
    strange.write_text("[", encoding="utf-8")
    done = check(strange)

    assert 2 == done.returncode
    assert "\x1b" not in done.stdout


def test_help_needs_neither_yaml_nor_pydantic() -> None:
    """`--help` answers at once."""
    program = (
        "import sys, contextlib\n"
        "from lastack.cli import policy\n"
        "with contextlib.suppress(SystemExit): policy.policy_group(['check', '--help'])\n"
        "print(sorted({'yaml', 'pydantic'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stderr
    assert "Say everything that is wrong with policy files" in done.stdout
