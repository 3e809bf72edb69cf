"""What an operator copies: it runs as nobody, names settings that exist, and its commands are ones that we have."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentiment import __version__
from sentiment.cli.score import command
from sentiment.parts import rejects_file
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
    text = re.sub(r"(?: \\)?\n\s+(?=--)", " ", text)  # folded YAML, and lines that a shell joins
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


def head(path: Path) -> str:
    """What a file says before its first line that is no comment."""
    lines = takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines())
    return "\n".join(line[1:] for line in lines)


def objects() -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in yaml.safe_load_all(JOB.read_text("utf-8"))}


def pod(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The specification of the pods of an object, and of their one container."""
    spec = objects()[name]["spec"]
    spec = spec["template"]["spec"] if "template" in spec else spec
    (container,) = spec["containers"]
    return spec, container


def test_deploy_kubernetes_shards_are_as_many_as_the_pods() -> None:
    found = objects()
    assert [item["kind"] for item in found.values()] == ["PersistentVolumeClaim", "Pod", "Job", "Job"]
    spec = found["cinesent-shards"]["spec"]
    _, container = pod("cinesent-shards")
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    assert f"/{spec['completions']} " in container["args"][0]
    assert f"change {spec['completions']} in its three places" in head(JOB)
    _, other = pod("cinesent-join")
    # The same job but for the shard: else the parts would be refused.
    shard, join = commands(container["args"][0])[0], commands(other["args"][0])[0]
    assert shard[: shard.index("--shard")] == join[: join.index("--resume")]


@pytest.mark.parametrize("name", ["cinesent-files", "cinesent-shards", "cinesent-join"])
def test_deploy_kubernetes_pods_share_the_volume_as_the_user_of_the_image(name: str) -> None:
    spec, container = pod(name)
    image = container["image"]
    assert image.endswith(f"/cinesent:{__version__}")
    assert f"docker build -t {image} . && docker push {image}\n" in head(JOB)
    user, group = map(int, dict(_instructions())["USER"].split(":"))
    context = spec["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (user, group, group)
    assert f"{user}:{group}" in head(JOB)
    assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "cinesent-data"}} in spec["volumes"]
    assert spec["restartPolicy"] == "Never"


def test_deploy_kubernetes_volume_is_refused_until_its_class_is_filled_in() -> None:
    """Without a class, or with one that might exist, the claim could wait for ever, and say nothing."""
    spec = objects()["cinesent-data"]["spec"]
    assert spec["accessModes"] == ["ReadWriteMany"]
    assert not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", spec["storageClassName"])


def test_deploy_kubernetes_steps_lead_from_the_input_to_the_result() -> None:
    found, steps = objects(), head(JOB)
    kinds = {name: item["kind"].lower() for name, item in found.items()}
    assert set(re.findall(r"\b(job|pod)/([a-z-]+)", steps)) == {
        (kind, name) for name, kind in kinds.items() if kind in ("job", "pod")
    }
    assert set(re.findall(r"\bcinesent-[a-z]+", steps)) <= set(found)
    assert {ROOT / path for path in re.findall(r" -f (\S+)", steps)} == {JOB}
    # Nothing starts by itself; each job is started once, after what it needs.
    assert [found[name]["spec"]["suspend"] for name, kind in kinds.items() if kind == "job"] == [True, True]
    patches = [json.loads(patch) for patch in re.findall(r" -p '([^']*)'", steps)]
    assert patches == [{"spec": {"suspend": False}}] * 2
    words = commands(pod("cinesent-shards")[1]["args"][0])[0]
    source, output = words[0], words[words.index("-o") + 1]
    order = [
        f"kubectl apply -f {JOB.relative_to(ROOT).as_posix()}",
        "kubectl wait --for=condition=Ready pod/cinesent-files",
        f"kubectl exec pod/cinesent-files -- mkdir -p {source}\n",
        f"kubectl cp reviews.csv cinesent-files:{source}/reviews.csv",
        "kubectl patch job/cinesent-shards",
        "kubectl get job/cinesent-shards",
        "kubectl patch job/cinesent-join",
        "kubectl get job/cinesent-join",
        f"kubectl cp --retries=10 cinesent-files:{output} ",
        f"kubectl cp --retries=10 cinesent-files:{rejects_file(Path(output)).as_posix()} ",
        f"kubectl delete -f {JOB.relative_to(ROOT).as_posix()}",
    ]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["cinesent-shards", "cinesent-join"])
def test_deploy_kubernetes_exit_code_2_and_no_other_ends_the_job(name: str) -> None:
    """And what happens to a node is no failure of the job: the first rule that fits holds."""
    _, container = pod(name)
    disrupted, rule = objects()[name]["spec"]["podFailurePolicy"]["rules"]
    assert disrupted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert rule == {
        "action": "FailJob",
        "onExitCodes": {"containerName": container["name"], "operator": "In", "values": [2]},
    }


@pytest.mark.skipif(os.name == "nt", reason="the pods have a POSIX shell")
@pytest.mark.parametrize("name", ["cinesent-shards", "cinesent-join"])
@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 0), (2, 2), (4, 4), (143, 143)])
def test_deploy_kubernetes_pods_end_as_the_command_does_but_for_rejected_rows(
    tmp_path: Path, name: str, code: int, expected: int
) -> None:
    stub = tmp_path / "cinesent"
    stub.write_text(f'#!/bin/sh\necho "$*"\nexit {code}\n', "utf-8")
    stub.chmod(0o755)
    _, container = pod(name)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "JOB_COMPLETION_INDEX": "2"}
    done = subprocess.run(
        [*container["command"], *container["args"]], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (expected, "")
    shards = objects()["cinesent-shards"]["spec"]["completions"]
    last = {"cinesent-shards": f"--shard 3/{shards}", "cinesent-join": "--resume"}[name]
    assert done.stdout == f"score /data/in -o /data/scored.parquet --threads 2 {last}\n"


@pytest.mark.skipif(os.name == "nt", reason="the pods have a POSIX shell")
@pytest.mark.parametrize("name", ["cinesent-shards", "cinesent-join"])
@pytest.mark.parametrize(("code", "expected"), [(143, 143), (2, 2), (1, 0), (0, 0)])
def test_deploy_kubernetes_pods_pass_sigterm_on_and_wait_for_the_command(
    tmp_path: Path, name: str, code: int, expected: int
) -> None:
    stub = tmp_path / "cinesent"
    stub.write_text(
        f"#!/bin/sh\ntrap 'kill $!; sleep 0.1; echo ended; exit {code}' TERM\nsleep 10 & echo started; wait $!\n",
        "utf-8",
    )
    stub.chmod(0o755)
    _, container = pod(name)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "JOB_COMPLETION_INDEX": "2"}
    arguments = [*container["command"], *container["args"]]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.terminate()
        assert process.wait(timeout=20) == expected
        assert process.stdout.read() == b"ended\n"


def cluster() -> dict[str, Any]:
    found = yaml.safe_load(CLUSTER.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def test_deploy_cluster_head_starts_the_workers_and_they_join_it() -> None:
    found = cluster()
    (start,) = (line.split() for line in found["head_start_ray_commands"] if " start " in line)
    (join,) = (line.split() for line in found["worker_start_ray_commands"] if " start " in line)
    assert "--head" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start, "else no worker is ever started"
    (port,) = (word.removeprefix("--port=") for word in start if word.startswith("--port="))
    assert f"--address=$RAY_HEAD_IP:{port}" in join
    assert found["max_workers"] == len(found["provider"]["worker_ips"])


def test_deploy_cluster_steps_wait_for_all_nodes_and_stop_them_all() -> None:
    found, steps = cluster(), head(CLUSTER)
    workers = found["provider"]["worker_ips"]
    assert f"until {len(workers) + 1} nodes are active" in steps
    (stopped,) = re.findall(r"for worker in ([^;]+);", steps)
    assert stopped.split() == workers
    assert f"ssh {found['auth']['ssh_user']}@$worker '~/venv/bin/ray stop'" in steps
    path = CLUSTER.relative_to(ROOT).as_posix()
    order = [
        f"RAY_UP_enable_autoscaler_v2=0 ray up {path}",
        f"ray exec {path} '~/venv/bin/ray status'",
        f"ray exec {path} '~/venv/bin/cinesent score",
        f"ray down {path}\n",
        "for worker in ",
    ]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash, by which Ray runs commands on its nodes")
def test_deploy_cluster_nodes_find_ray_without_a_path_after_one_set_up_and_after_two(tmp_path: Path) -> None:
    """`ray down` runs a bare `ray stop` on the head, in a shell that has read ~/.bashrc."""
    (command,) = (line for line in cluster()["setup_commands"] if ".bashrc" in line)
    program = tmp_path / "venv" / "bin" / "ray"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "ours: $*"\n', "utf-8")
    program.chmod(0o755)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    for _ in range(2):
        subprocess.run(["bash", "-c", command], env=environment, check=True, timeout=60)
        assert len((tmp_path / ".bashrc").read_text("utf-8").splitlines()) == 1
        done = subprocess.run(
            ["bash", "-c", 'source ~/.bashrc; ray stop; echo "$PATH"'],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        # Last, so that it hides none of the machine's own programs.
        assert done.stdout == f"ours: stop\n/usr/bin:/bin:{program.parent}\n"


def test_deploy_cluster_has_the_ray_of_the_constraints() -> None:
    versions = re.findall(r"ray\[default\]==([0-9.]+)", CLUSTER.read_text("utf-8"))
    assert len(versions) == 2, "on the machine that calls `ray up`, and on the head"
    pins = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert {f"ray=={version}" for version in versions} == {line for line in pins if line.startswith("ray==")}
    (head_setup,) = cluster()["head_setup_commands"]
    assert f"ray[default]=={versions[0]}" in head_setup
    assert any("-c constraints.txt" in line and ".[ray]" in line for line in cluster()["setup_commands"])


@pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed: pip install "cinesent[ray]"')
def test_deploy_cluster_is_valid_by_rays_own_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((_ray() / "autoscaler" / "ray-schema.json").read_text("utf-8"))
    jsonschema.validate(cluster(), schema)


@pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed: pip install "cinesent[ray]"')
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("commands.py", "--autoscaling-config=~/ray_bootstrap_config.yaml"),
        ("commands.py", 'os.getenv("RAY_UP_enable_autoscaler_v2", "1") == "1"'),
        ("commands.py", 'cmd="ray stop"'),
        ("command_runner.py", "source ~/.bashrc; "),
        ("autoscaler.py", "record_local_head_state_if_needed(self.provider)"),
    ],
)
def test_deploy_cluster_says_of_ray_what_holds_for_the_version_that_it_takes(file: str, words: str) -> None:
    """Where Ray changes one of these, the cluster's file has to be read again."""
    assert words in (_ray() / "autoscaler" / "_private" / file).read_text("utf-8")


def _ray() -> Path:
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
