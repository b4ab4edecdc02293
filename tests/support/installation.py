"""Gamekeeper on a cluster that somebody else has made: helm installs the chart, and takes it away.

Here: the release in a namespace of its own, and the definitions, which helm never removes. Not
here: the namespaces in which tests work (given_cluster.py).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cli.kubectl import kubectl_path
from tests.support.cluster import REPOSITORY, gamekeeper
from tests.support.helm import CHART, RELEASE, helm_program
from tests.support.image_references import chart_values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Json = dict[str, Any]
# An image may have to be pulled, and a namespace ends when its last pod has.
PATIENCE_SECONDS = 300.0
RUN_LABEL = "gamekeeper.dev/test-run"
_RELEASE_LABEL = "gamekeeper.dev/test-release"


@dataclass(frozen=True)
class Given:
    """The command line, as far as it is about the cluster.

    Attributes:
        games: images with bash, coreutils and ps; the second is for updates in place.
        values: files with further values of the chart.
        status_url: where the status API is; None for a port that kubectl forwards.
    """

    kubeconfig: Path
    agent: str
    aggregator: str
    games: Sequence[str]
    values: Sequence[Path] = ()
    status_url: str | None = None


class Installation:
    """The chart on a given cluster.

    Args:
        given: the cluster and the images.
        folder: for files.

    Attributes:
        namespace: of the release.
        kubeconfig: the current context of the given one, and nothing else.
        session: names what this session makes; the value of a label of its namespaces.
    """

    def __init__(self, given: Given, folder: Path) -> None:
        self._helm_program = helm_program()
        self.given = given
        self.folder = folder
        self.session = secrets.token_hex(4)
        self.namespace = f"gamekeeper-test-{self.session}"
        self.kubeconfig = folder / "kubeconfig"
        # The given file is only read: what tests make current is made so in copies.
        text = self._call(
            kubectl_path(),
            *(f"--kubeconfig={given.kubeconfig}", "config", "view"),
            *("--minify", "--flatten", "--raw"),
        )
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(text)

    def install(self) -> None:
        """Install as docs/install.md tells; return once the Deployment is complete."""
        version = json.loads(self.must("version", "-o", "json"))["serverVersion"]["gitVersion"]
        definitions = self._call(*gamekeeper("crds", "--kubernetes", version))
        self.must("apply", "--server-side", "-f", "-", stdin=definitions)
        established = ("--for=condition=Established", f"--timeout={PATIENCE_SECONDS:g}s")
        self.must("wait", *established, "-f", "-", stdin=definitions)
        # The strictest level: what Gamekeeper itself runs needs no more.
        self.make_namespace(self.namespace, "restricted")
        images = {"agent": self.given.agent, "aggregator": self.given.aggregator}
        values = self.folder / "images.yaml"
        values.write_text(
            yaml.safe_dump({name: {"image": chart_values(ref)} for name, ref in images.items()})
        )
        files = [
            argument for each in (values, *self.given.values) for argument in ("-f", str(each))
        ]
        self._helm("install", RELEASE, str(CHART), *files)
        # Not helm's own --wait: how it must be asked depends on helm's version.
        done = self._run(
            *(kubectl_path(), "-n", self.namespace, "rollout", "status"),
            *(f"deployment/{RELEASE}", f"--timeout={PATIENCE_SECONDS:g}s"),
        )
        pods = self.must("-n", self.namespace, "get", "pods", "-o", "wide")
        assert done.returncode == 0, f"{done.stderr}{pods}{self.log()}"

    def remove(self) -> None:
        """Remove everything that this session has made; return once it is gone."""
        # Games go while the aggregator is there: it takes part in the end of some.
        self._delete_namespaces(f"{RUN_LABEL}={self.session},!{_RELEASE_LABEL}")
        self._helm("uninstall", RELEASE, "--ignore-not-found")
        self.must("delete", "--ignore-not-found", "-f", str(CHART / "crds"))
        self._delete_namespaces(f"{RUN_LABEL}={self.session}")

    def make_namespace(self, name: str, level: str) -> None:
        """Make a namespace that `remove` finds, of a Pod Security level."""
        labels = {RUN_LABEL: self.session, "pod-security.kubernetes.io/enforce": level}
        if name == self.namespace:
            labels[_RELEASE_LABEL] = "true"
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        }
        self.must("create", "-f", "-", stdin=json.dumps(body))

    def must(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl, which must succeed, and return what it prints."""
        return self._call(kubectl_path(), *arguments, stdin=stdin)

    def leaders(self) -> list[str]:
        """Return the names of the pods that say that they lead."""
        selector = "app.kubernetes.io/component=aggregator,gamekeeper.dev/leader=true"
        names = ("-o", "jsonpath={.items[*].metadata.name}")
        return self.must("-n", self.namespace, "get", "pods", "-l", selector, *names).split()

    def authority(self) -> str:
        """Return the PEM of the authority of the aggregator's certificate."""
        secret = ("get", "secret", f"{RELEASE}-reports-tls", "-o", r"jsonpath={.data.ca\.crt}")
        return base64.b64decode(self.must("-n", self.namespace, *secret)).decode()

    def log(self) -> str:
        """Return the last lines of the aggregators' logs, or why there are none."""
        selector = "app.kubernetes.io/component=aggregator"
        done = self._run(
            *(kubectl_path(), "-n", self.namespace, "logs", "-l", selector),
            *("--tail=40", "--prefix"),
        )
        return done.stdout + done.stderr

    def refuse_another(self) -> None:
        """End the session where the cluster has GameServerSets already; nothing is changed."""
        listed = self.must("get", "customresourcedefinitions", "-o", "name").split()
        ours = (yaml.safe_load(file.read_text()) for file in (CHART / "crds").glob("*.yaml"))
        names = {each["metadata"]["name"] for each in ours}
        there = sorted(names & {each.rpartition("/")[2] for each in listed})
        if there:
            pytest.exit(
                f"the cluster of --kubeconfig already has {', '.join(there)}: something may serve "
                "them, and these tests remove them at their end; give another cluster, or delete "
                "them first",
                returncode=4,
            )

    def _delete_namespaces(self, selector: str) -> None:
        timeout = f"--timeout={PATIENCE_SECONDS:g}s"
        self.must("delete", "namespaces", "-l", selector, "--ignore-not-found", timeout)

    def _helm(self, *arguments: str) -> str:
        return self._call(self._helm_program, "--namespace", self.namespace, *arguments)

    def _call(self, *command: str, stdin: str | None = None) -> str:
        done = self._run(*command, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def _run(self, *command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
            input=stdin,
            capture_output=True,
            text=True,
            # Later than what the command itself gives up after, and says why.
            timeout=PATIENCE_SECONDS + 30,
            check=False,
        )
