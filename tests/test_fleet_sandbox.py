"""What members' code may cost whoever runs it: `fleet.sandbox`."""

from __future__ import annotations

import ast
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import checks, landlock, sandbox
from fleet.git import GitError
from fleet.members import Member


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """Not in memory, to which programs may write wherever they work: see `landlock.DEVICES`."""
    with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as made:
        yield Path(made)


def refused(folder: Path, code: str, seconds: float = 60) -> str:
    environment = {"PATH": os.environ["PATH"]}
    with pytest.raises(GitError) as caught:
        sandbox.run([sys.executable, "-c", code], folder, seconds=seconds, environment=environment)
    return str(caught.value)


def is_running(process: int) -> bool:
    """A process that has ended and that nobody has asked for counts as ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_what_hangs_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    code = """
import subprocess, time
child = subprocess.Popen(["sleep", "60"])
open("child", "w").write(str(child.pid))
time.sleep(60)
"""
    started = time.monotonic()
    assert "took more than 5 s" in refused(tmp_path, code, seconds=5)
    assert time.monotonic() - started < 23
    child = int((tmp_path / "child").read_text())
    time.sleep(0.2)
    assert not is_running(child)


def test_what_is_left_running_ends_too(tmp_path: Path) -> None:
    code = """
import subprocess
open("child", "w").write(str(subprocess.Popen(["sleep", "60"]).pid))
"""
    sandbox.run(
        [sys.executable, "-c", code], tmp_path, seconds=60, environment={"PATH": os.environ["PATH"]}
    )
    time.sleep(0.2)
    assert not is_running(int((tmp_path / "child").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limits")
def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MOST_MEMORY", 2**28)
    code = """
import resource, time
while resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
    time.sleep(0.01)
bytearray(2**29)
"""
    assert "MemoryError" in refused(tmp_path, code)


def test_of_what_it_prints_the_end_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MOST_READ", 1_000)
    code = "import sys; [print('x' * 99) for _ in range(10_000)]; sys.exit('the end')"
    assert refused(tmp_path, code) == "the end"
    assert "signal 9" in refused(tmp_path, "import os; os.kill(os.getpid(), 9)")
    monkeypatch.setattr(sandbox, "MOST_WRITTEN", 10_000)
    code = "import time; time.sleep(1)\nwhile True: print('x' * 999)"
    assert len(refused(tmp_path, code)) < 2_000


@pytest.mark.skipif(not landlock.is_possible(), reason="this system has no Landlock")
def test_the_environment_of_other_programs_is_out_of_reach(tmp_path: Path) -> None:
    """Whoever runs checks may have a token in it, and Linux shows it as a file."""
    code = """
import os, subprocess, sys
def read(process):
    try:
        return len(open(f"/proc/{process}/environ").read())
    except PermissionError:
        return "denied"
open(sys.argv[1], "w").write(f"{[read(each) for each in (os.getppid(), 'self', sys.argv[2])]}")
open("/proc/meminfo").read(), open("/proc/sys/kernel/pid_max").read(), open("/etc/passwd").read()
if len(sys.argv[1]) == 1:
    subprocess.run([sys.executable, "-c", sys.argv[3], "of a child", *sys.argv[2:]], check=True)
"""
    command = [sys.executable, "-c", code, "o", str(os.getpid()), code]
    environment = {"PATH": os.environ["PATH"]}
    sandbox.run(command, tmp_path, seconds=60, environment=environment)
    assert (tmp_path / "o").read_text().startswith("['denied', ")
    assert (tmp_path / "o").read_text().endswith("'denied']")
    assert (tmp_path / "of a child").read_text().endswith("'denied']")


def test_a_check_has_no_terminal_of_whoever_runs_it(tmp_path: Path) -> None:
    """What it writes there would act on it, and by TIOCSTI it could type commands for the shell."""
    operators, terminal = os.openpty()
    code = """
import os, sys
said = [os.getsid(0) == int(sys.argv[1])]
for place in ("/dev/tty", sys.argv[2]):
    try:
        said.append(os.open(place, os.O_RDONLY | os.O_NOCTTY))
    except OSError as error:
        said.append(error.strerror)
open("/dev/urandom", "rb").read(1)
open("said", "w").write(str(said))
"""
    command = [sys.executable, "-c", code, str(os.getsid(0)), os.ttyname(terminal)]
    environment = {"PATH": os.environ["PATH"]}
    sandbox.run(command, tmp_path, seconds=60, environment=environment)
    os.close(operators)
    os.close(terminal)
    denied = ("No such device", "Permission denied")
    session, own, other = ast.literal_eval((tmp_path / "said").read_text())
    assert session is False
    assert str(own).startswith(denied)
    assert other == "Permission denied" or not landlock.is_possible()


def test_a_check_has_no_secret_of_whoever_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only variables that tell of the machine, and an empty home."""
    secrets = "GH_TOKEN AWS_SECRET_ACCESS_KEY SNOWFLAKE_PASSWORD HTTPS_PROXY SSH_AUTH_SOCK".split()
    for name in secrets:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    (tmp_path / "look.py").write_text(
        "import os, sys; from pathlib import Path\n"
        "sys.exit(f'{[each.name for each in Path.home().iterdir()]} {sorted(os.environ.items())}')"
    )
    member = Member("up", str(tmp_path))
    home = {"DBT_MESH_HOME": str(tmp_path)}
    said = checks.run_in_member(f"{sys.executable} look.py", tmp_path, member, home)
    assert said.startswith("['.tmp'] ")
    assert "('LANG', 'C.UTF-8')" in said
    assert not any(text in said for text in (*secrets, "'secret'"))


@pytest.mark.skipif(not landlock.is_possible(), reason="this system has no Landlock")
def test_a_check_changes_nothing_that_other_projects_read_on_this_machine(
    on_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a member that has committed no contracts, and so reads this machine's: dbt-loom takes what
    is published there as it is."""
    ours, clone = on_disk / "ours", on_disk / "scratch/clone"
    (ours / "published/dbt_up").mkdir(parents=True)
    (ours / "published/dbt_up/manifest.json").write_text("theirs")
    (ours / "DBT_DOWN_LOCAL.duckdb").write_text("of an earlier build")
    clone.mkdir(parents=True)
    (clone / "mesh.yml").write_text(
        "project: dbt_down\nkind: loom\ndatabase_prefix: DBT_DOWN\nupstreams:\n"
        "  - {name: dbt_up, database_prefix: DBT_UP}\n"
    )
    (clone / "check.sh").write_text(
        'cd "$DBT_MESH_HOME" && grep -q theirs published/dbt_up/manifest.json || exit 3\n'
        "echo new > DBT_DOWN_LOCAL.duckdb || exit 4\n"
        "for file in published/dbt_up/manifest.json published/x y; do echo mine > $file; done\n"
        "test -f y && ! test -e published/x\n"
    )
    monkeypatch.setenv("DBT_MESH_HOME", str(ours))
    before = {path: path.is_file() and path.read_text() for path in ours.rglob("*")}
    assert checks.first_failure(["sh check.sh"], clone, Member("down", str(on_disk))) is None
    assert {path: path.is_file() and path.read_text() for path in ours.rglob("*")} == before
