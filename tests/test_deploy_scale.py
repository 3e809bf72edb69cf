"""What a user starts elsewhere: the files are sound, and every command in them is one that the command line takes."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentiment.cli.score import command

ROOT = Path(__file__).parent.parent
CLUSTER, JOB = ROOT / "deploy" / "ray-cluster.yaml", ROOT / "deploy" / "kubernetes-job.yaml"
SCALE = ROOT / "docs" / "scale.md"


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
