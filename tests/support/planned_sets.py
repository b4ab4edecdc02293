"""Sets with their pods and GameServers, as the plan of a whole set sees them."""

from aggregator.gameserverset.plan import observe, plan
from aggregator.gameserverset.revision import pod_template, template_revision
from aggregator.gameserverset.scale import ScalePlan
from shared.api import names
from shared.api.meta import Condition
from tests.support.builders import NOW, game_server, game_server_set, pod

SET = game_server_set()
REVISION = template_revision(SET)
NEW = {names.REVISION_LABEL: REVISION}


def observed(*pairs, owner=None, now=NOW, **known):
    """Pairs of a pod and its GameServer, which may be None."""
    owner = owner or SET
    known = {"templates": {template_revision(owner): pod_template(owner)}} | known
    return observe(owner, pairs, now, **known)


def pair(id_, *, pod_fields=None, **spec):
    return pod(id_, **({"labels": NEW} | (pod_fields or {}))), game_server(id_, **spec)


def ids_of(scale: ScalePlan):
    """What a plan does, in ids."""
    return {
        "claims": {claim.server.id: claim.reason for claim in scale.claims},
        "deletions": [server.id for server in scale.deletions],
        "creations": list(scale.creations),
    }


OLD_TEMPLATE = {"metadata": {}, "spec": {"containers": [{"name": "game", "image": "game:1"}]}}


def rolling(policy="InPlaceIfPossible", *, replicas=2, image="game:2", status=None, **fields):
    return game_server_set(
        replicas=replicas,
        template={"spec": {"containers": [{"name": "game", "image": image}]}},
        updateStrategy={"rollingUpdate": {"podUpdatePolicy": policy} | fields},
        status=status,
    )


def old_pair(id_, **spec):
    return pair(id_, pod_fields={"labels": {names.REVISION_LABEL: "old"}}, **spec)


def steps_of(owner, *pairs, known=True):
    templates = {template_revision(owner): pod_template(owner)}
    templates |= {"old": OLD_TEMPLATE} if known else {}
    decision = plan(observed(*pairs, owner=owner, templates=templates))
    return [(type(step), step.server.id) for step in decision.updates.steps]


def condition(type_, status, reason, message=""):
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        observed_generation=1,
        last_transition_time=NOW,
    )
