"""Every label, annotation, kind, state and reason of an event, once. Pure.

Names that begin with `game.kruise.io/` are OpenKruiseGame's and stay as they are (SPEC, head).
"""

GROUP = "game.kruise.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
GAMESERVER_KIND = "GameServer"
GAMESERVERSET_KIND = "GameServerSet"
GAMESERVERS = "gameservers"
GAMESERVERSETS = "gameserversets"
AUTOSCALING_GROUP = "autoscaling.gamekeeper.dev"
AUTOSCALER_KIND = "GameServerSetAutoscaler"
AUTOSCALERS = "gameserversetautoscalers"

# Labels, on pods and GameServers.
OWNER_LABEL = f"{GROUP}/owner-gss"
STATE_LABEL = f"{GROUP}/gs-state"
OPS_STATE_LABEL = f"{GROUP}/gs-opsState"
UPDATE_PRIORITY_LABEL = f"{GROUP}/gs-update-priority"
DELETE_PRIORITY_LABEL = f"{GROUP}/gs-delete-priority"
NETWORK_DISABLED_LABEL = f"{GROUP}/network-disabled"
DELETING_LABEL = f"{GROUP}/gs-deleting"
NODE_NAME_LABEL = f"{GROUP}/node-name"
# On the aggregator's pods: the Services select the leader by it.
LEADER_LABEL = "gamekeeper.dev/leader"
# The label that Kubernetes' own controllers use for the same thing.
REVISION_LABEL = "controller-revision-hash"

# Labels and annotations of a GameServer that are copied to its pod.
SYNC_PREFIX = "gs-sync/"

# Annotations.
OPS_STATE_CHANGED_ANNOTATION = f"{GROUP}/opsState-last-changed-time"
STATE_CHANGED_ANNOTATION = f"{GROUP}/state-last-changed-time"
VERDICTS_ANNOTATION = "gamekeeper.dev/service-quality-verdicts"
ACTED_ON_ANNOTATION = "gamekeeper.dev/acted-on-report"
AGENT_ANNOTATION = "gamekeeper.dev/agent"  # auto | always | never
AGENT_PROFILE_ANNOTATION = "gamekeeper.dev/agent-security-profile"  # see security_profile
MARKER_ANNOTATION = "gamekeeper.dev/container-marker"  # "true" names each container in its env
# On a GameServerSet.
ACCOUNTED_ANNOTATION = "gamekeeper.dev/accounted-deletions"
PAUSED_ANNOTATION = "gamekeeper.dev/paused"  # "true" stops every write except status
PROTECT_ANNOTATION = "gamekeeper.dev/protect-allocated"  # "true" spares Allocated servers
UPDATE_OPS_STATES_ANNOTATION = "gamekeeper.dev/update-ops-states"  # "None,Maintaining"
# On a pod.
UPDATE_ANNOTATION = "gamekeeper.dev/update"
IMAGES_ANNOTATION = "gamekeeper.dev/container-images"

# What only Gamekeeper writes: an action of a service quality cannot set these.
OWNED_KEYS = frozenset(
    {
        OWNER_LABEL,
        STATE_LABEL,
        OPS_STATE_LABEL,
        UPDATE_PRIORITY_LABEL,
        DELETE_PRIORITY_LABEL,
        NETWORK_DISABLED_LABEL,
        DELETING_LABEL,
        NODE_NAME_LABEL,
        OPS_STATE_CHANGED_ANNOTATION,
        STATE_CHANGED_ANNOTATION,
        VERDICTS_ANNOTATION,
        ACTED_ON_ANNOTATION,
        ACCOUNTED_ANNOTATION,
        UPDATE_ANNOTATION,
        IMAGES_ANNOTATION,
    }
)


# opsStates with a meaning; any other legal label value is a custom state.
OPS_STATE_NONE = "None"
OPS_STATE_WAIT_TO_BE_DELETED = "WaitToBeDeleted"
OPS_STATE_MAINTAINING = "Maintaining"
OPS_STATE_ALLOCATED = "Allocated"
OPS_STATE_KILL = "Kill"

# States of a GameServer (status.currentState).
STATE_UNKNOWN = "Unknown"
STATE_CREATING = "Creating"
STATE_READY = "Ready"
STATE_NOT_READY = "NotReady"
STATE_CRASH = "Crash"
STATE_UPDATING = "Updating"
STATE_DELETING = "Deleting"
STATE_PRE_DELETE = "PreDelete"
STATE_PRE_UPDATE = "PreUpdate"

# Conditions of a GameServer.
CONDITION_POD_NORMAL = "PodNormal"
CONDITION_NODE_NORMAL = "NodeNormal"
CONDITION_VOLUME_NORMAL = "PersistentVolumeNormal"
CONDITION_PRIORITIES_VALID = "PrioritiesValid"
SERVER_CONDITIONS = (
    CONDITION_POD_NORMAL,
    CONDITION_NODE_NORMAL,
    CONDITION_VOLUME_NORMAL,
    CONDITION_PRIORITIES_VALID,
)

# Event reasons.
REASON_SERVICE_QUALITY_ACTION = "ServiceQualityAction"
REASON_CLAIMED = "Claimed"
REASON_RELEASED = "Released"
REASON_RESCALED = "SuccessfulRescale"  # the HPA's word for it
REASON_ADOPTED = "Adopted"
REASON_REPLACED = "Replaced"
REASON_UPDATING = "Updating"
REASON_UPDATED = "Updated"
REASON_FAILED_CREATE = "FailedCreate"
REASON_FIELD_SKIPPED = "ServiceQualityFieldSkipped"
REASON_STATE_CHANGED = "GsStateChanged"
