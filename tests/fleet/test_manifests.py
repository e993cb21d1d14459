"""The files for Kubernetes and Nomad are what these take, and what we say they are."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.controls import EXAMPLE
from harness.supervisors import run_socketd
from harness.webservers import CONTRIB
from socketd.control.document import State
from socketd.metrics.families import families
from socketd.settings.duration import parse_duration

KUBERNETES = CONTRIB / "kubernetes"
NOMAD = CONTRIB / "nomad" / "echo.nomad.hcl"
FOLDED = re.compile(r"\{\{.*?\}\}")


def documents(file: str) -> list[dict[str, Any]]:
    """Return the documents of a file."""
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with kubernetes-validate")
    return list(yaml.safe_load_all((KUBERNETES / file).read_text()))


def seconds_of_a_stop(text: str) -> float:
    """Return how long a server with this file may take to stop."""
    keys = ("stop_delay", "timeouts.drain", "timeouts.kill")
    found = [re.search(rf'^{re.escape(key)} = "(\S+)"$', text, re.MULTILINE) for key in keys]
    return sum(parse_duration(one[1], "") for one in found if one)


def check(folder: Path, text: str) -> None:
    """Expect that a file of socketd is without a mistake."""
    file = folder / "socketd.toml"
    file.write_text(text)
    done = run_socketd("check", str(file))
    assert (done.status, done.stderr) == (0, "")


@pytest.mark.parametrize("file", ["echo.yaml", "hpa.yaml"])
def test_kubernetes_takes_the_manifests(file: str) -> None:
    """Each is valid by the schemas of Kubernetes, and has no key that these do not know."""
    checker = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is missing")
    for document in documents(file):
        checker.validate(document, checker.latest_version(), strict=True)


def test_pod_has_the_time_that_a_stop_takes(tmp_path: Path) -> None:
    """Its file is without a mistake; probes name ports and a control socket that there are."""
    configuration, deployment, *_ = documents("echo.yaml")
    text = configuration["data"]["socketd.toml"]
    check(tmp_path, text)
    pod = deployment["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > seconds_of_a_stop(text) > 0
    [container] = pod["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert {int(one) for one in re.findall(r"0\.0\.0\.0:(\d+)", text)} == set(ports.values())
    assert container["readinessProbe"]["httpGet"]["port"] in ports
    assert "lifecycle" not in container
    for probe in ("startupProbe", "livenessProbe"):
        words = container[probe]["exec"]["command"]
        assert f'control = "{words[words.index("--control") + 1]}"' in text
        known = run_socketd(words[1], "--help").stdout
        assert [word for word in words if word.startswith("-") and f"{word} " not in known] == []


def test_keda_scales_the_deployment() -> None:
    """Its object names what there is, and each trigger has what the scaler of Prometheus needs."""
    [scaled] = documents("keda.yaml")
    assert (scaled["apiVersion"], scaled["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    spec = scaled["spec"]
    assert spec["scaleTargetRef"]["name"] == documents("echo.yaml")[1]["metadata"]["name"]
    for trigger in spec["triggers"]:
        assert set(trigger) == {"type", "metricType", "metadata"}
        assert (trigger["type"], trigger["metricType"] in ("Value", "AverageValue")) == (
            "prometheus",
            True,
        )
        assert set(trigger["metadata"]) == {"serverAddress", "query", "threshold"}
        assert all(isinstance(one, str) for one in trigger["metadata"].values())


@pytest.mark.parametrize("file", ["hpa.yaml", "keda.yaml"])
def test_autoscalers_ask_for_metrics_that_there_are(file: str) -> None:
    """A name that no server tells would scale nothing."""
    state = msgspec.json.decode(EXAMPLE.read_bytes(), type=State)
    known = {family.sample for family in families(state)}
    asked = set(re.findall(r"\bsocketd_\w+(?=\{)", (KUBERNETES / file).read_text()))
    assert asked
    assert asked <= known


def test_nomad_gives_the_time_that_a_stop_takes(tmp_path: Path) -> None:
    """Its file is without a mistake, and the signal is the one that stops a server."""
    text = NOMAD.read_text()
    template = re.search(r"<<EOF\n(.*?)^EOF$", text, re.MULTILINE | re.DOTALL)
    assert template is not None
    filled = template[1].replace('{{ env "NOMAD_TASK_DIR" }}', str(tmp_path))
    check(tmp_path, FOLDED.sub("7000", filled, count=1).replace(FOLDED.findall(filled)[1], "7001"))
    given = re.search(r'kill_timeout = "(\S+)"', text)
    assert given is not None
    assert parse_duration(given[1], "") > seconds_of_a_stop(template[1]) > 0
    assert 'kill_signal  = "SIGTERM"' in text
    assert text.count("{") == text.count("}")
