"""The GameServerSet reconciler: which servers exist.

Where to find what (decisions are pure; what writes is not):

- The loop: reconciler observes, plan decides, apply carries out. facts, roster and server are what
  a decision sees: the spec, the set's pods with their GameServers, and one of them.
- Who should exist: scale decides; ids and reserve know numbers, accounting what a deletion costs
  the spec, failures when an ended pod is made again, returning which ids come back. creations and
  deletions write, set_writer writes to the set itself.
- The template: revision and history keep it, update says who gets it and how, inplace what a
  running pod can change, overrides what is one server's own. rollout writes.
- Whose is it: namesakes and adoption for pods, heritage for all else that carries a name of ours.
- A pod from its template: pod; agent_container, security_profile, quality_of_service: the agent.
- What goes with a set: companions and surroundings (Service, policy, budget), volumes and
  volume_claims, trust (the CA bundle).
- What is told: conditions and status. annotations: what people switch on a set, and their slips.
- Between a write and the cache that shows it: unshown, and the expectations of aggregator.kube.
"""
