"""From a pod's spec to what the launcher can start: image, environment, user, volumes, paths.

Here: reading the objects that the pod refers to, and putting the pieces together. The pieces
themselves are pure modules (environment, credentials, volumes). Not pure: reads the API and files.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster.kubelet import environment, volumes
from localcluster.kubelet.container import Prepared
from localcluster.kubelet.credentials import resolve_credentials
from localcluster.kubelet.fields import ConfigurationError, Json, PodFacts, References
from localcluster.kubelet.messages import Bind, Program, RootFilesystem, StartContainer

if TYPE_CHECKING:
    from localcluster.kubelet.identities import Identities
    from localcluster.kubelet.images import Images, LoadedImage
    from localcluster.kubelet.references import ReferenceReader

_HOSTS = Path("/etc/hosts")
_TERMINATION_LOG = "/dev/termination-log"  # mounted in every container by rootfs.py


@dataclass(frozen=True, slots=True)
class PodFolders:
    """Where a pod's files are on the host.

    Args:
        pod: everything of the pod but its logs; removed with it.
        mount_point: an empty folder, the same for all pods.
    """

    pod: Path
    mount_point: Path

    @property
    def volumes(self) -> Path:
        """One folder per volume."""
        return self.pod / "volumes"

    @property
    def hosts(self) -> Path:
        """What the containers see as /etc/hosts."""
        return self.pod / "etc-hosts"

    def termination_log(self, container: str) -> Path:
        """Return a new path with kubelet's form, by which the agent finds the container."""
        return self.pod / "containers" / container / secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Prepares the containers of one pod.

    Args:
        references: reads config maps and secrets.
        images: the mapping of images.
        identities: which users exist.
        facts: the pod.
        folders: its files.
    """

    references: ReferenceReader
    images: Images
    identities: Identities
    facts: PodFacts
    folders: PodFolders

    async def __call__(self, container: Json) -> Prepared:
        """Return what to start for `container`.

        Raises:
            ConfigurationError: the pod asks for something that is not there.
            UnknownImage: its image is not mapped.
            InvalidInput: its image.yaml is wrong.
            AppError: as ApiClient.
        """
        image = self.images.find(container["image"])
        references = await self.read(environment.referenced_names(container))
        program = self._program(container, image, references)
        termination_log = self.folders.termination_log(container["name"])
        root = self._root(container, image, termination_log, program.environment)
        termination_log.parent.mkdir(parents=True, exist_ok=True)
        termination_log.touch()
        termination_log.chmod(0o666)  # a non-root container writes its last words there
        uid = self.facts.pod["metadata"]["uid"]
        return Prepared(StartContainer(uid, root, program), image, termination_log, program)

    async def read(self, names: tuple[set[str], set[str]], age_seconds: float = 0.0) -> References:
        """Return the config maps and secrets with these names, at most `age_seconds` old."""
        namespace = self.facts.pod["metadata"]["namespace"]
        return await self.references.read(namespace, names, age_seconds)

    @property
    def files_group(self) -> int | None:
        """The group that owns the files of volumes (fsGroup); None where it cannot be set."""
        security = self.facts.pod["spec"].get("securityContext") or {}
        # Only who may give files away can; the unprivileged sandbox has no other group anyway.
        return security.get("fsGroup") if self.identities.setgroups else None

    def write_hosts(self) -> None:
        """Write the pod's /etc/hosts: the host's, and the pod's own name and address."""
        known = _HOSTS.read_text() if _HOSTS.exists() else "127.0.0.1 localhost\n"
        own = f"{self.facts.pod_ip}\t{self.facts.pod['metadata']['name']}\n"
        self.folders.hosts.write_text(f"{known.rstrip()}\n{own}")
        self.folders.hosts.chmod(0o644)

    def _program(self, container: Json, image: LoadedImage, references: References) -> Program:
        own = environment.declared_environment(container, self.facts, references)
        described = image.description
        variables = environment.resolve_environment(
            container, described.environment, self.facts, references
        )
        who = resolve_credentials(self.facts.pod["spec"], container, self.identities)
        # A runtime takes HOME from the image's passwd; root's is the one that is always there.
        variables.setdefault("HOME", "/root" if who.uid == 0 else "/")
        command = container.get("command") or described.command
        # Arguments of the image belong to its command: a pod's command replaces both.
        arguments = container.get("args") or []
        argv = tuple(environment.expand(word, own) for word in [*command, *arguments])
        folder = container.get("workingDir") or described.working_directory or "/"
        return Program(argv, variables, folder, who)

    def _root(
        self, container: Json, image: LoadedImage, termination_log: Path, variables: dict[str, str]
    ) -> RootFilesystem:
        described = image.description
        declared = self.facts.pod["spec"].get("volumes", [])
        binds = [Bind(m.source, m.target, read_only=True) for m in described.mounts]
        for bind in binds:
            if not Path(bind.source).exists():
                raise ConfigurationError(f"image mount {bind.source} does not exist")
        mounted = volumes.plan_binds(container, declared, self.folders.volumes, variables)
        _make_sub_paths(mounted)
        binds += mounted
        if _HOSTS.exists():
            binds.append(Bind(str(self.folders.hosts), str(_HOSTS), read_only=True))
        own_log = container.get("terminationMessagePath") or _TERMINATION_LOG
        if own_log != _TERMINATION_LOG:
            binds.append(Bind(str(termination_log), own_log, read_only=False))
        return RootFilesystem(
            mount_point=str(self.folders.mount_point),
            image_folder=str(image.folder) if described.working_directory else "",
            image_target=described.working_directory or "",
            termination_log=str(termination_log),
            binds=tuple(binds),
        )


def _make_sub_paths(binds: tuple[Bind, ...]) -> None:
    """Make the sub-folders that the pod mounts but that nobody has made yet, as kubelet does."""
    for bind in binds:
        source = Path(bind.source)
        if not bind.read_only and not source.exists():
            source.mkdir(parents=True)
            source.chmod(0o777)  # like the volume around it
        elif not source.exists():
            raise ConfigurationError(f"volumeMounts {bind.target}: subPath does not exist")
