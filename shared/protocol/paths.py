"""Where the report protocol lives and the numbers both sides agree on (SPEC 3)."""

REPORTS_PATH = "/v1/reports"
TOKEN_AUDIENCE = "gamekeeper"  # noqa: S105 - an audience, not a secret
AGENT_CONTAINER_NAME = "gamekeeper-agent"

MAX_REPORT_BYTES = 64 * 1024
MAX_PROBES = 64
MAX_RESULT_BYTES = 1024
MAX_REPORT_STDERR_BYTES = 1024
MAX_MESSAGE_CHARACTERS = 256

HEARTBEAT_SECONDS = 10.0
HEARTBEAT_JITTER = 0.1
