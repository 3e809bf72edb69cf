"""What an operator copies, container, compose file and unit: run as nobody, and name settings that exist."""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from serve.settings import Settings

ROOT = Path(__file__).parent.parent
FILES = ("Dockerfile", "compose.yaml", "deploy/cinesent.service", "docs/serving.md")
# Not a setting of the service: the port of the host to which compose binds it.
OTHERS = {"CINESENT_PUBLISHED_PORT", "CINESENT_DEBUG", "CINESENT_REQUIRE"}


@pytest.mark.parametrize("name", FILES)
def test_deploy_names_settings_that_exist(name: str) -> None:
    known = {f"CINESENT_{field.name.upper()}" for field in dataclasses.fields(Settings)}
    found = set(re.findall(r"CINESENT_[A-Z_]*[A-Z]", (ROOT / name).read_text("utf-8")))
    assert found
    assert found <= known | OTHERS


def _instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_deploy_dockerfile_runs_as_nobody_and_checks_its_health() -> None:
    instructions = _instructions()
    known = {
        *("ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "ENV", "EXPOSE"),
        *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    assert {name for name, _ in instructions} == known
    last = dict(instructions)
    assert last["USER"] == "10001:10001"
    assert "/ready" in last["HEALTHCHECK"]
    assert last["ENTRYPOINT"].startswith("["), "no shell between the service and its signals"
    for name, value in instructions:
        if name == "COPY" and not value.startswith("--from"):
            for source in shlex.split(value)[:-1]:
                assert (ROOT / source).exists(), source
                allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
                assert f"!{source}" in allowed
    (check,) = re.findall(r'"-c", "(.*?)"\]', last["HEALTHCHECK"])
    compile(check, "healthcheck", "exec")


def test_deploy_compose_has_a_read_only_file_system_and_no_rights() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["service"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["ports"] == ["127.0.0.1:${CINESENT_PUBLISHED_PORT:-8000}:8000"]
    grace = int(service["stop_grace_period"].removesuffix("s"))
    assert grace >= float(service["environment"]["CINESENT_DEADLINE"]) + 5


def test_deploy_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("there is no systemd-analyze")
    unit = tmp_path / "cinesent.service"
    text = (ROOT / "deploy" / "cinesent.service").read_text("utf-8")
    unit.write_text(text.replace("/opt/cinesent/bin/cinesent", "/bin/true"), "utf-8")
    done = subprocess.run([tool, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
