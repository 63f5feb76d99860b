"""A command that begins warm is one like any other: its folder, variables, input and end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import BIN, Render
from tests.job_pip import site_of
from tests.warm import COMMANDS, Server, server

SCRIPT = """
import os, sys
print(os.getcwd(), os.environ.get("MINE"), sys.argv[1:], sys.path[0], sys.stdin.read())
print(sorted(name for name in sys.modules if name.startswith("snowflake")), file=sys.stderr)
os.environ["MINE"] = "left behind"
"""


@pytest.fixture
def warm() -> Server:
    return server(COMMANDS)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def run(
    warm: Server, text: str, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    (folder / "it.py").write_text(text)
    return warm.run([sys.executable, "it.py"], folder, {**os.environ, **environment}, 60)


def test_it_has_its_own_folder_variables_arguments_and_input(
    warm: Server, script: Path, tmp_path: Path
) -> None:
    for given in ("one", "two"):
        environment = {**os.environ, "MINE": given}
        line = [sys.executable, str(script), "--flag"]
        done = warm.run(line, tmp_path, environment, 60, f"the {given}")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{tmp_path} {given} ['--flag'] {tmp_path} the {given}\n"
        assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        ("", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('why')", 1, "why\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("raise KeyboardInterrupt", -signal.SIGINT, ""),
    ],
)
def test_it_ends_as_a_process_does(
    warm: Server, tmp_path: Path, text: str, status: int, error: str
) -> None:
    done = run(warm, text, tmp_path)
    assert (done.returncode, done.stderr) == (status, error)


def test_an_exception_is_a_traceback(warm: Server, tmp_path: Path) -> None:
    done = run(warm, "1 / 0", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_what_it_has_to_do_at_its_end_is_done(warm: Server, tmp_path: Path) -> None:
    text = "import atexit, threading, time\natexit.register(print, 'at exit')\n"
    text += "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n"
    assert run(warm, text, tmp_path).stdout == "thread\nat exit\n"


def test_a_timeout_ends_it(warm: Server, script: Path, tmp_path: Path) -> None:
    script.write_text("import time; time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run([sys.executable, str(script)], tmp_path, os.environ, 0.5)


def test_what_python_looks_at_when_it_starts_gets_a_process_of_its_own(
    warm: Server, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine.py").write_text("NAME = 'mine'")
    text = "import mine, sys; print(mine.NAME, 'yaml' in sys.modules)"
    assert run(warm, text, tmp_path, PYTHONPATH="there").stdout == "mine False\n"


def test_it_may_be_of_another_environment(warm: Server, tmp_path: Path) -> None:
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    (site_of(home) / "mine.py").write_text("NAME = 'mine'")
    text = "import mine, sys; print(mine.NAME, sys.prefix, sys.executable)\nimport dbtmesh"
    (tmp_path / "it.py").write_text(text)
    done = warm.run([str(home / "bin/python"), "it.py"], tmp_path, os.environ, 60)
    assert done.stdout == f"mine {home} {home / 'bin/python'}\n"
    assert done.stderr.endswith("No module named 'dbtmesh'\n")  # it has no other's library


def test_shells_run_it_as_a_program(warm: Server, script: Path, tmp_path: Path) -> None:
    python = warm.program("python")
    line = f"echo given | '{python}' script.py -x; '{python}' -c 'exit(4)'; echo $?"
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path} None ['-x'] {tmp_path} given\n\n4\n"
    script.write_text("import os; os.kill(os.getpid(), 9)")
    assert subprocess.run([python, script], check=False).returncode == -signal.SIGKILL


def test_dbt_parses_as_one_that_begins_cold(render: Render) -> None:
    member = render(kind="upstream")

    def parsed() -> str:
        manifest = json.loads((member.path / "target/manifest.json").read_bytes())
        del manifest["metadata"]
        return re.sub(r'"created_at": [0-9.]+', "", json.dumps(manifest, sort_keys=True))

    member.dbt("parse", "--no-partial-parse")
    warm = parsed()
    cold = [str(BIN / "dbt"), "parse", "--no-partial-parse"]
    environment = {**os.environ, **member.environment}
    subprocess.run(cold, cwd=member.path, env=environment, check=True, capture_output=True)
    assert parsed() == warm
