"""What an operator copies: it runs as nobody, names settings that exist, and its commands are ones that we have."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentiment import __version__
from sentiment.cli.score import command
from serve.settings import Settings

ROOT = Path(__file__).parent.parent
FILES = ("Dockerfile", "compose.yaml", "deploy/cinesent.service", "docs/serving.md", "docs/serving.zh.md")
# Not a setting of the service: the port of the host to which compose binds it.
OTHERS = {"CINESENT_PUBLISHED_PORT", "CINESENT_DEBUG", "CINESENT_REQUIRE"}
CLUSTER, JOB = ROOT / "deploy" / "ray-cluster.yaml", ROOT / "deploy" / "kubernetes-job.yaml"
SCALE = ROOT / "docs" / "scale.md"


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


def commands(text: str) -> list[list[str]]:
    """The words of every `cinesent score …` in a file; what a shell fills in stands for 1."""
    found = []
    text = re.sub(r"\n\s+(?=--)", " ", text)  # folded YAML
    for line in re.findall(r"cinesent score ([^\n'`&|#;]*)", text):
        line = re.sub(r'\$\(\([^)]*\)\)|"?\$SLURM_ARRAY_TASK_ID', "1", line).replace('"', "")
        words = shlex.split(line)
        if words and not words[0].startswith("-"):  # else it is only talked about
            found.append(words)
    return found


@pytest.mark.parametrize(("path", "least"), [(CLUSTER, 1), (JOB, 2), (SCALE, 8)])
def test_deploy_commands_are_ones_that_the_command_line_takes(path: Path, least: int) -> None:
    found = commands(path.read_text("utf-8"))
    assert len(found) >= least
    for words in found:
        assert command.make_context("score", list(words)).params["output"]


def jobs() -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in yaml.safe_load_all(JOB.read_text("utf-8"))}


def test_deploy_kubernetes_shards_are_as_many_as_the_pods() -> None:
    found = jobs()
    assert [item["kind"] for item in found.values()] == ["PersistentVolumeClaim", "Job", "Job"]
    spec = found["cinesent-shards"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    assert f"/{spec['completions']} " in container["args"][0]
    assert container["image"].endswith(f"/cinesent:{__version__}")
    assert f"docker build -t {container['image']} ." in JOB.read_text("utf-8")
    joining = found["cinesent-join"]["spec"]
    assert joining["suspend"] is True
    (other,) = joining["template"]["spec"]["containers"]
    assert other["image"] == container["image"]
    # The same job but for the shard: else the parts would be refused.
    shard, join = commands(container["args"][0])[0], commands(other["args"][0])[0]
    assert shard[: shard.index("--shard")] == join[: join.index("--resume")]


@pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed: pip install "cinesent[ray]"')
def test_deploy_cluster_is_valid_by_rays_own_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text("utf-8"))
    cluster = yaml.safe_load(CLUSTER.read_text("utf-8"))
    jsonschema.validate(cluster, schema)
    pins = (ROOT / "constraints.txt").read_text("utf-8")
    (version,) = re.findall(r"ray\[default\]==([0-9.]+)", CLUSTER.read_text("utf-8"))
    assert f"\nray=={version}\n" in pins
