"""What `kubectl explain` says of the built-in kinds: a line for each field people ask for."""

from __future__ import annotations

KINDS = {
    "Namespace": "A scope for names: what is deleted with it lives in it.",
    "Pod": "Containers that run together on one node, share its network address and end together.",
    "ConfigMap": "Configuration that pods read as files or environment variables.",
    "Secret": "Like a ConfigMap, for what not everybody may read.",
    "Service": "One name and address for the pods that its selector finds.",
    "Node": "A machine that runs pods; its kubelet keeps this object.",
    "PersistentVolumeClaim": "A request for storage that outlives a pod.",
    "PersistentVolume": "A piece of storage that a claim can be bound to.",
    "StorageClass": "How volumes are made for claims that name this class.",
    "ServiceAccount": "An identity for the processes in a pod.",
    "ResourceQuota": "Limits of what a namespace may hold.",
    "PodDisruptionBudget": "How many pods of a selection may be evicted at a time.",
    "HorizontalPodAutoscaler": "Sets the replicas of a scalable object from metrics.",
    "Lease": "A lock with an owner and an end, for leader election and heartbeats.",
    "ControllerRevision": "An immutable snapshot of a template, for rollouts.",
    "NetworkPolicy": "Which traffic the selected pods may have.",
    "Event": "A report of something that happened to an object.",
}

# (type, field) -> description.
FIELDS = {
    ("Pod", "spec"): "What shall run.",
    ("Pod", "status"): "What the kubelet has observed.",
    ("PodSpec", "activeDeadlineSeconds"): "Seconds after its start at which the pod is failed.",
    ("PodSpec", "affinity"): "Rules about the nodes a pod goes to.",
    ("PodSpec", "automountServiceAccountToken"): "Whether containers get a token of the account.",
    ("PodSpec", "containers"): "The containers; at least one. They cannot be added or removed.",
    ("PodSpec", "dnsPolicy"): "Where names are looked up: ClusterFirst unless given.",
    ("PodSpec", "hostIPC"): "Whether the pod shares the node's inter-process communication.",
    ("PodSpec", "hostNetwork"): "Whether the pod uses the node's network and ports.",
    ("PodSpec", "hostPID"): "Whether the pod sees the node's processes.",
    ("PodSpec", "hostname"): "The pod's host name; its own name unless given.",
    ("PodSpec", "imagePullSecrets"): "Secrets for the registries of its images.",
    ("PodSpec", "initContainers"): (
        "Containers that run to their end, one by one, before the others; those that restart "
        "Always are sidecars and stay."
    ),
    ("PodSpec", "nodeName"): "The node it runs on; set by the scheduler.",
    ("PodSpec", "nodeSelector"): "Labels that its node must have.",
    ("PodSpec", "priorityClassName"): "The class that says how important the pod is.",
    ("PodSpec", "readinessGates"): "Conditions that must be True for the pod to be ready.",
    ("PodSpec", "restartPolicy"): "When ended containers start again: Always, OnFailure or Never.",
    ("PodSpec", "schedulerName"): "The scheduler that finds a node.",
    ("PodSpec", "securityContext"): "User, groups and the like of all containers.",
    ("PodSpec", "serviceAccountName"): "The identity of its processes: default unless given.",
    ("PodSpec", "shareProcessNamespace"): "Whether its containers see each other's processes.",
    ("PodSpec", "terminationGracePeriodSeconds"): (
        "Seconds between the signal to end and the kill; 30 unless given."
    ),
    ("PodSpec", "tolerations"): "Taints of nodes that do not keep the pod away.",
    ("PodSpec", "topologySpreadConstraints"): "How pods are spread over zones and nodes.",
    ("PodSpec", "volumes"): "What containers can mount.",
    ("PodStatus", "conditions"): "Whether the pod is scheduled, initialised and ready.",
    ("PodStatus", "containerStatuses"): "The state of each container.",
    ("PodStatus", "phase"): "Pending, Running, Succeeded, Failed or Unknown.",
    ("PodStatus", "podIP"): "The pod's address.",
    ("Container", "args"): "Arguments of the command.",
    ("Container", "command"): "What is run instead of the image's own command; no shell.",
    ("Container", "env"): "Environment variables.",
    ("Container", "image"): "The image; changing it restarts this container alone.",
    ("Container", "lifecycle"): "What is run after the start and before the end.",
    ("Container", "livenessProbe"): "Asks whether the container has to be restarted.",
    ("Container", "name"): "A DNS label that no other container of the pod has.",
    ("Container", "ports"): "Ports it listens on, for readers of this object.",
    ("Container", "readinessProbe"): "Asks whether the container can serve now.",
    ("Container", "resources"): "What it asks for and what it may use at most.",
    ("Container", "startupProbe"): "Asks whether it has started; the other probes wait for that.",
    ("Container", "volumeMounts"): "Where the pod's volumes appear.",
    ("Container", "workingDir"): "Where the command starts.",
}  # fmt: skip
