"""The program: how it starts, who may ask, how it ends; and the client that Gamekeeper uses."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes_asyncio import client, config, watch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.apiserver import RunningApiServer

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

PODS = "/api/v1/namespaces/default/pods"


def request(
    server: RunningApiServer, path: str, token: str = "", body: Any = None
) -> tuple[int, bytes]:
    """Return status and body of one HTTPS request that trusts the server's CA alone."""
    sent = urllib.request.Request(
        server.url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    if token:
        sent.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=str(server.ca_file))
    try:
        with urllib.request.urlopen(sent, context=context, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
def test_health_needs_no_token(shared_apiserver: RunningApiServer, path: str) -> None:
    assert request(shared_apiserver, path) == (200, b"ok")


@pytest.mark.parametrize("token", ["", "wrong", "a.b.c"])
def test_everything_else_needs_a_valid_token(
    shared_apiserver: RunningApiServer, token: str
) -> None:
    status, body = request(shared_apiserver, PODS, token)
    assert (status, json.loads(body)["reason"]) == (401, "Unauthorized")


def test_a_pod_s_token_is_reviewed_for_its_audience_until_the_pod_is_gone(
    shared_apiserver: RunningApiServer,
) -> None:
    def post(path: str, body: Any) -> Any:
        status, answer = request(shared_apiserver, path, shared_apiserver.token, body)
        assert status == 201, answer
        return json.loads(answer)

    def review(audience: str) -> Any:
        body = {"spec": {"token": token, "audiences": [audience]}}
        return post("/apis/authentication.k8s.io/v1/tokenreviews", body)["status"]

    containers = [{"name": "main", "image": "game:1"}]
    pod = post(PODS, {"metadata": {"name": "reviewed"}, "spec": {"containers": containers}})
    reference = {"kind": "Pod", "name": "reviewed", "uid": pod["metadata"]["uid"]}
    spec = {"audiences": ["gamekeeper"], "expirationSeconds": 600, "boundObjectRef": reference}
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    token = post(f"{account}/token", {"spec": spec})["status"]["token"]
    uid = json.loads(request(shared_apiserver, account, shared_apiserver.token)[1])["metadata"][
        "uid"
    ]
    assert review("gamekeeper") == {
        "authenticated": True,
        "audiences": ["gamekeeper"],
        "user": {
            "username": "system:serviceaccount:default:default",
            "uid": uid,
            "groups": [
                "system:serviceaccounts",
                "system:serviceaccounts:default",
                "system:authenticated",
            ],
            "extra": {
                "authentication.kubernetes.io/pod-name": ["reviewed"],
                "authentication.kubernetes.io/pod-uid": [pod["metadata"]["uid"]],
            },
        },
    }
    refused = {"authenticated": False, "user": {}, "error": "invalid bearer token"}
    assert review("somebody-else") == refused
    # The API server is not among its audiences, so it opens nothing here.
    assert request(shared_apiserver, PODS, token)[0] == 401
    shared_apiserver.kubectl("delete", "pod", "reviewed")
    assert review("gamekeeper") == refused


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_signal_ends_it_despite_open_watches(
    apiserver: RunningApiServer, number: signal.Signals
) -> None:
    context = ssl.create_default_context(cafile=str(apiserver.ca_file))
    header = {"Authorization": f"Bearer {apiserver.token}"}
    sent = urllib.request.Request(f"{apiserver.url}/api/v1/namespaces?watch=true", headers=header)
    with urllib.request.urlopen(sent, context=context, timeout=30) as response:
        assert b'"ADDED"' in response.readline()
        # The watch would last for half an hour.
        apiserver.process.send_signal(number)
        assert apiserver.process.wait(timeout=30) == 0
        # The stream was ended properly, not cut.
        assert response.read().count(b"\n") == 3
    stderr = apiserver.kubeconfig.with_name("stderr.txt").read_text()
    assert stderr == ""


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        pytest.param(
            "server.pem", None, r"--certificate: cannot read .*: No such file.*", id="gone"
        ),
        pytest.param("server.key", "x", r"--certificate: .* are no certificate and .*", id="key"),
        pytest.param("ca.pem", "x", r"--ca: .* holds no certificate \(PEM\)", id="ca"),
        pytest.param("tokens.json", "[]", r"--tokens: .* is not JSON of the form .*", id="tokens"),
        pytest.param("crd.yaml", "a: [", r"--crd: .* is not YAML: .* line 1, .*", id="yaml"),
        pytest.param("crd.yaml", "kind: Pod", r"--crd: .* holds something else .*", id="kind"),
        pytest.param(
            "crd.yaml",
            "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition}",
            r"--crd: .* is invalid: .*metadata.name: Required value.*",
            id="definition",
        ),
    ],
)
def test_a_bad_file_is_one_line_and_exit_code_2(
    shared_apiserver: RunningApiServer,
    tmp_path: Path,
    name: str,
    content: str | None,
    line: str,
) -> None:
    arguments = copied_arguments(shared_apiserver, tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    done = start(*arguments, "--port", "0", *(("--crd", tmp_path / name) if "crd" in name else ()))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(line + "\n", done.stderr), done.stderr


def test_a_port_in_use_is_one_line_and_exit_code_2(
    shared_apiserver: RunningApiServer, tmp_path: Path
) -> None:
    port = shared_apiserver.url.rpartition(":")[2]
    done = start(*copied_arguments(shared_apiserver, tmp_path), "--port", port)
    assert (done.returncode, done.stderr) == (
        2,
        f"--port: cannot listen on 127.0.0.1:{port}: it is in use; "
        "choose another, or 0 for a free one\n",
    )


def copied_arguments(server: RunningApiServer, directory: Path) -> list[Any]:
    """Return a command line whose files a test may spoil."""
    source = server.kubeconfig.parent
    for name in ("server.pem", "server.key", "ca.pem", "tokens.json", "kubelet-token"):
        (directory / name).write_bytes((source / name).read_bytes())
    return [
        *("--certificate", directory / "server.pem", "--key", directory / "server.key"),
        *("--ca", directory / "ca.pem", "--tokens", directory / "tokens.json"),
        *("--kubelet-token-file", directory / "kubelet-token"),
    ]


def start(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run a program that must refuse to start."""
    return subprocess.run(
        [sys.executable, "-m", "localcluster.apiserver", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_kubernetes_asyncio_creates_watches_patches_and_deletes(
    shared_apiserver: RunningApiServer,
) -> None:
    await config.load_kube_config(str(shared_apiserver.kubeconfig))
    async with client.ApiClient() as connection:
        core = client.CoreV1Api(connection)
        spec = client.V1PodSpec(containers=[client.V1Container(name="main", image="game:1")])
        meta = client.V1ObjectMeta(generate_name="typed-", labels={"made-by": "typed-client"})
        pod = await core.create_namespaced_pod("default", client.V1Pod(metadata=meta, spec=spec))
        name = pod.metadata.name

        async def patch_and_delete() -> None:
            body = {"metadata": {"labels": {"seen": "yes"}}}
            await core.patch_namespaced_pod(
                name, "default", body, _content_type="application/merge-patch+json"
            )
            await core.delete_namespaced_pod(name, "default", grace_period_seconds=0)

        events = []
        async with asyncio.TaskGroup() as group, watch.Watch() as watching:
            stream = watching.stream(
                core.list_namespaced_pod,
                "default",
                label_selector="made-by=typed-client",
                timeout_seconds=60,
            )
            async for event in stream:
                events.append((event["type"], event["object"].metadata.labels.get("seen")))
                if event["type"] == "ADDED":
                    group.create_task(patch_and_delete())
                if event["type"] == "DELETED":
                    break
        assert events == [("ADDED", None), ("MODIFIED", "yes"), ("DELETED", "yes")]


async def test_kubernetes_asyncio_sees_the_reason_of_a_refusal(
    shared_apiserver: RunningApiServer,
) -> None:
    await config.load_kube_config(str(shared_apiserver.kubeconfig))
    async with client.ApiClient() as connection:
        with pytest.raises(client.ApiException) as caught:
            await client.CoreV1Api(connection).read_namespaced_pod("absent", "default")
    assert (caught.value.status, json.loads(caught.value.body)["reason"]) == (404, "NotFound")
