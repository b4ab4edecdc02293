"""A local cluster: the API server, the kubelet, and the programs that run on it. Not pure.

The supervisor of all of them is the process that uses this module. Everything lives in one state
folder: credentials, kubeconfigs, logs, the pods. Whatever happens to the supervisor, the janitor
ends the programs and removes the folder.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from localcluster.certificates import make_authority
from localcluster.janitor import MARKER, Janitor
from localcluster.kubeconfig import check_destination, write_kubeconfig
from localcluster.kubelet.host import check_host
from localcluster.programs import HttpReady, Program, ProgramSpec
from shared.errors import TerminalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

ADDRESS = "127.0.0.1"
NODE_NAME = "gamekeeper-local"
# A person, the node, and the aggregator: names and groups as on a real cluster.
ADMIN = ("admin", ["system:masters"])
NODE = (f"system:node:{NODE_NAME}", ["system:nodes"])
AGGREGATOR = ("system:serviceaccount:gamekeeper-system:aggregator", ["system:serviceaccounts"])


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What a local cluster is made of.

    Attributes:
        images: folder of each image.
        programs: images without files of their own, by the content of their image.yaml.
        crds: the CustomResourceDefinitions to serve from the start.
        port: of the API server; 0 for any free one.
        kubeconfig: where to write the kubeconfig for people; None for the state folder.
        data: file that keeps the API server's state between runs; None for none.
        faults: rules of faults on purpose, as the API server takes them.
        rbac: decide by roles; otherwise every user may do anything.
        control: serve /control: what was asked for, faults on order.
        progress: called with one line for each thing that is started.
    """

    images: Mapping[str, Path]
    programs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    crds: Sequence[Mapping[str, Any]] = ()
    port: int = 0
    kubeconfig: Path | None = None
    data: Path | None = None
    faults: Sequence[str] = ()
    rbac: bool = False
    control: bool = False
    progress: Callable[[str], None] = field(default=lambda _line: None)


class LocalCluster:
    """A running cluster; use it as an asynchronous context manager.

    Attributes:
        directory: the state folder.
        kubeconfig: for people: full rights.
        aggregator_kubeconfig: for the aggregator.
        programs: everything that was started, by name.
    """

    def __init__(self, options: ClusterOptions) -> None:
        self._options = options
        self._stack = AsyncExitStack()
        self.directory = Path()
        self.kubeconfig = Path()
        self.aggregator_kubeconfig = Path()
        self.programs: dict[str, Program] = {}

    async def __aenter__(self) -> Self:
        """Start the API server and the kubelet.

        Raises:
            InvalidInput: the kubeconfig cannot be written where it is to be.
            TerminalError: this machine cannot run pods, or a program did not start; nothing is
            left.
        """
        if self._options.kubeconfig is not None:
            check_destination(self._options.kubeconfig)
        problem = check_host()
        if problem is not None:
            raise TerminalError("HostNotSupported", problem)
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything, the last started first, and remove the state folder."""
        await self._stack.aclose()

    async def start_program(self, spec: ProgramSpec) -> Program:
        """Start another program that belongs to the cluster."""
        self._options.progress(f"starting the {spec.name}")
        log = self.directory / "logs" / f"{spec.name.replace(' ', '-')}.log"
        program = await Program.start(spec, log, self._janitor)
        self._stack.push_async_callback(program.stop)
        self.programs[spec.name] = program
        return program

    def issue_certificate(self, name: str) -> tuple[Path, Path, Path]:
        """Return the files of a certificate for loopback: certificate, key, CA."""
        certificate, key = self._authority.issue(name, ["localhost"], [ADDRESS])
        files = (self._secret(f"{name}.crt", certificate), self._secret(f"{name}.key", key))
        return *files, self._ca_file

    def add_kubeconfig_extension(self, name: str, value: Mapping[str, str]) -> None:
        """Note something about the cluster in the kubeconfig for people.

        Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ (extensions).
        """
        body = yaml.safe_load(self.kubeconfig.read_text())
        cluster = body["clusters"][0]["cluster"]
        cluster.setdefault("extensions", []).append({"name": name, "extension": dict(value)})
        self.kubeconfig.write_text(yaml.safe_dump(body, sort_keys=False))

    async def _start(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="gamekeeper-"))
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        (self.directory / MARKER).touch()
        (self.directory / "logs").mkdir()
        (self.directory / "credentials").mkdir(mode=0o700)
        self._janitor = Janitor.start(self.directory)
        self._stack.callback(self._janitor.close)
        self._authority = make_authority()
        self._ca_file = self._secret("ca.crt", self._authority.certificate_pem)
        tokens = {user: secrets.token_urlsafe(32) for user in (ADMIN[0], NODE[0], AGGREGATOR[0])}
        await self._start_apiserver(tokens)
        await self._start_kubelet(tokens)

    async def _start_apiserver(self, tokens: Mapping[str, str]) -> None:
        users = {
            tokens[name]: {"username": name, "groups": groups}
            for name, groups in (ADMIN, NODE, AGGREGATOR)
        }
        certificate, key, ca_file = self.issue_certificate("apiserver")
        port_file = self.directory / "apiserver.port"
        arguments = [
            *(sys.executable, "-m", "localcluster.apiserver"),
            *("--address", ADDRESS, "--port", str(self._options.port)),
            *("--certificate", str(certificate), "--key", str(key), "--ca", str(ca_file)),
            *("--tokens", str(self._secret("tokens.json", json.dumps(users).encode()))),
            *("--kubelet-token-file", str(self._stream_token())),
            *("--port-file", str(port_file)),
        ]
        if self._options.data is not None:
            arguments += ["--data", str(self._options.data)]
        arguments += ["--rbac"] * self._options.rbac + ["--control"] * self._options.control
        for fault in self._options.faults:
            arguments += ["--fault", fault]
        for number, crd in enumerate(self._options.crds):
            file = self.directory / f"crd-{number}.yaml"
            file.write_text(yaml.safe_dump(crd))
            arguments += ["--crd", str(file)]

        def url() -> str | None:
            if not port_file.exists():
                return None
            return f"https://{ADDRESS}:{port_file.read_text().strip()}/readyz"

        await self.start_program(ProgramSpec("API server", arguments, HttpReady(url, ca_file)))
        self._server = f"https://{ADDRESS}:{port_file.read_text().strip()}"
        self.kubeconfig = self._options.kubeconfig or self.directory / "kubeconfig"
        self.aggregator_kubeconfig = self.directory / "credentials" / "aggregator.kubeconfig"
        for path, user in ((self.kubeconfig, ADMIN), (self.aggregator_kubeconfig, AGGREGATOR)):
            write_kubeconfig(path, self._server, self._ca_file, tokens[user[0]])

    async def _start_kubelet(self, tokens: Mapping[str, str]) -> None:
        images = {image: str(folder) for image, folder in self._options.images.items()}
        for number, (image, description) in enumerate(self._options.programs.items()):
            folder = self.directory / "images" / str(number)
            folder.mkdir(parents=True)
            (folder / "image.yaml").write_text(yaml.safe_dump(dict(description)))
            images[image] = str(folder)
        image_file = self.directory / "images.json"
        image_file.write_text(json.dumps(images))
        ready_file = self.directory / "kubelet.ready"
        arguments = [
            *(sys.executable, "-m", "localcluster.kubelet", "--server", self._server),
            *("--ca", str(self._ca_file)),
            *("--token-file", str(self._secret("kubelet.token", tokens[NODE[0]].encode()))),
            *("--state-directory", str(self.directory / "kubelet")),
            *("--images", str(image_file)),
            *("--stream-token-file", str(self._stream_token())),
            *("--node-name", NODE_NAME, "--ready-file", str(ready_file)),
        ]

        async def ready() -> bool:
            return ready_file.exists()

        await self.start_program(ProgramSpec("kubelet", arguments, ready))

    def _stream_token(self) -> Path:
        path = self.directory / "credentials" / "stream.token"
        return path if path.exists() else self._secret(path.name, secrets.token_bytes(24).hex())

    def _secret(self, name: str, content: bytes | str) -> Path:
        path = self.directory / "credentials" / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        return path


def free_port() -> int:
    """Return a port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])
