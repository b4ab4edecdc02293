"""Where the rules of this suite come from: kubernetes.io and the sources of kubernetes/kubernetes.

Every case names one of these, and a failing case prints it, so that who reads the failure can judge
whether the server or the case is wrong.
"""

_REFERENCE = "https://kubernetes.io/docs/reference"
_STAGING = "kubernetes/kubernetes staging/src/k8s.io"
_REGISTRY = "kubernetes/kubernetes pkg/registry"

API_CONCEPTS = f"{_REFERENCE}/using-api/api-concepts/"
PATCHES = f"{API_CONCEPTS}#patch-and-apply"
DRY_RUN = f"{API_CONCEPTS}#dry-run"
FIELD_VALIDATION = f"{API_CONCEPTS}#validation-for-unrecognized-or-duplicate-fields"
RESOURCE_VERSIONS = f"{API_CONCEPTS}#resource-versions"
LIST_VERSIONS = f"{API_CONCEPTS}#semantics-for-get-and-list"
WATCH_VERSIONS = f"{API_CONCEPTS}#semantics-for-watch"
WATCH = f"{API_CONCEPTS}#efficient-detection-of-changes"
WATCH_LIST = f"{API_CONCEPTS}#streaming-lists"
BOOKMARKS = f"{API_CONCEPTS}#watch-bookmarks"
CHUNKS = f"{API_CONCEPTS}#retrieving-large-results-sets-in-chunks"
TABLES = f"{API_CONCEPTS}#receiving-resources-as-tables"
METADATA_ONLY = f"{API_CONCEPTS}#metadata-only-fetches"
GENERATED_NAMES = f"{API_CONCEPTS}#generated-values"
APPLY = f"{_REFERENCE}/using-api/server-side-apply/"
TOKENS = f"{_REFERENCE}/kubernetes-api/authentication-resources/token-request-v1/"
TOKEN_REVIEWS = f"{_REFERENCE}/kubernetes-api/authentication-resources/token-review-v1/"
AUTHENTICATION = f"{_REFERENCE}/access-authn-authz/authentication/"
RBAC = f"{_REFERENCE}/access-authn-authz/rbac/"
DELETE_OPTIONS = f"{_REFERENCE}/kubernetes-api/common-definitions/delete-options/"
POD_API = f"{_REFERENCE}/kubernetes-api/workload-resources/pod-v1/"
CONFIG_MAP_API = f"{_REFERENCE}/kubernetes-api/config-and-storage-resources/config-map-v1/"

_CONCEPTS = "https://kubernetes.io/docs/concepts"
LABELS = f"{_CONCEPTS}/overview/working-with-objects/labels/#label-selectors"
FIELD_SELECTORS = f"{_CONCEPTS}/overview/working-with-objects/field-selectors/"
NAMES = f"{_CONCEPTS}/overview/working-with-objects/names/"
FINALIZERS = f"{_CONCEPTS}/overview/working-with-objects/finalizers/"
GARBAGE = f"{_CONCEPTS}/architecture/garbage-collection/"
NAMESPACES = "https://kubernetes.io/docs/tasks/administer-cluster/namespaces/"
POD_TERMINATION = f"{_CONCEPTS}/workloads/pods/pod-lifecycle/#pod-termination"
POD_UPDATES = f"{_CONCEPTS}/workloads/pods/#pod-update-and-replacement"
EVICTION = f"{_CONCEPTS}/scheduling-eviction/api-eviction/"

CRD = "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/"
CRD_STRUCTURAL = f"{CRD}#specifying-a-structural-schema"
CRD_PRUNING = f"{CRD}#field-pruning"
CRD_DEFAULTING = f"{CRD}#defaulting"
CRD_NULLABLE = f"{CRD}#defaulting-and-nullable"
CRD_VALIDATION = f"{CRD}#validation"
CRD_INT_OR_STRING = f"{CRD}#intorstring"
CRD_CEL = f"{CRD}#validation-rules"
CRD_TRANSITION = f"{CRD}#transition-rules"
CRD_STATUS = f"{CRD}#status-subresource"
CRD_SCALE = f"{CRD}#scale-subresource"
CRD_COLUMNS = f"{CRD}#additional-printer-columns"
CRD_LIST_TYPES = f"{APPLY}#merge-strategy"

STRATEGIC = (
    "https://kubernetes.io/docs/tasks/manage-kubernetes-objects/"
    "update-api-object-kubectl-patch/#use-a-strategic-merge-patch-to-update-a-deployment"
)
STRATEGIC_DIRECTIVES = (
    "kubernetes/community contributors/devel/sig-api-machinery/strategic-merge-patch.md"
)
JSON_PATCH = "RFC 6902, section 5 and " + PATCHES
MERGE_PATCH = "RFC 7386, section 2 and " + PATCHES

STORE = f"{_STAGING}/apiserver/pkg/registry/generic/registry/store.go"
REST_CREATE = f"{_STAGING}/apiserver/pkg/registry/rest/create.go"
REST_UPDATE = f"{_STAGING}/apiserver/pkg/registry/rest/update.go"
REST_DELETE = f"{_STAGING}/apiserver/pkg/registry/rest/delete.go"
ETCD_STORE = f"{_STAGING}/apiserver/pkg/storage/etcd3/store.go"
PRECONDITIONS = f"{_STAGING}/apiserver/pkg/storage/interfaces.go (Preconditions.Check)"
CACHER = f"{_STAGING}/apiserver/pkg/storage/cacher/cacher.go"
HANDLER_PATCH = f"{_STAGING}/apiserver/pkg/endpoints/handlers/patch.go"
HANDLER_CREATE = f"{_STAGING}/apiserver/pkg/endpoints/handlers/create.go"
HANDLER_REST = f"{_STAGING}/apiserver/pkg/endpoints/handlers/rest.go"
NEGOTIATION = f"{_STAGING}/apiserver/pkg/endpoints/handlers/negotiation/errors.go"
INSTALLER = f"{_STAGING}/apiserver/pkg/endpoints/installer.go"
OPTIONS_VALIDATION = f"{_STAGING}/apimachinery/pkg/apis/meta/v1/validation/validation.go"
LIST_OPTIONS_VALIDATION = f"{_STAGING}/apimachinery/pkg/apis/meta/internalversion/validation"
META_VALIDATION = f"{_STAGING}/apimachinery/pkg/api/validation/objectmeta.go"
API_ERRORS = f"{_STAGING}/apimachinery/pkg/api/errors/errors.go"
CUSTOM_STRATEGY = f"{_STAGING}/apiextensions-apiserver/pkg/registry/customresource/strategy.go"
CUSTOM_HANDLER = f"{_STAGING}/apiextensions-apiserver/pkg/apiserver/customresource_handler.go"
CRD_VALIDATION_SOURCE = (
    f"{_STAGING}/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go"
)
LIFECYCLE = f"{_STAGING}/apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go"
CORE_VALIDATION = "kubernetes/kubernetes pkg/apis/core/validation/validation.go"
POD_STRATEGY = f"{_REGISTRY}/core/pod/strategy.go"
POD_STORAGE = f"{_REGISTRY}/core/pod/storage/storage.go"
POD_PRINTER = "kubernetes/kubernetes pkg/printers/internalversion/printers.go"
TOKEN_VALIDATION = "kubernetes/kubernetes pkg/apis/authentication/validation/validation.go"
TOKEN_STORAGE = f"{_REGISTRY}/core/serviceaccount/storage/token.go"
EVICTION_STORAGE = f"{_REGISTRY}/core/pod/storage/eviction.go"

GAMEKEEPER = "the validation that Gamekeeper's CRDs declare; " + CRD_CEL
