"""JobSet's interface as its controller and its webhook hold it to, but for the Jobs in it, which are Kubernetes' own.

Transcribed from kubernetes-sigs/jobset v0.12.0: api/jobset/v1alpha2/jobset_types.go (fields, types, enumerations) and
pkg/webhooks/jobset_webhook.go (names, and what refers to what).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator
from kubernetes_validate import ValidationError

from tests.support.kustomize import assert_schemas_accept

Object = dict[str, Any]
STRING, NUMBER, TRUTH = {"type": "string"}, {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, {"type": "boolean"}
KUBERNETES_OWN = {"type": "object"}
LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1035
REASONS = {
    *("BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy")
}


def one_of(*values: str) -> Object:
    return {"enum": list(values)}


def listed(items: Object) -> Object:
    return {"type": "array", "items": items}


def structure(required: tuple[str, ...] = (), **fields: Object) -> Object:
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


RULE = structure(
    ("name", "action"),
    name={"type": "string", "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", "maxLength": 128},
    action=one_of(
        *("FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"),
        *("RestartJob", "RestartJobAndIgnoreMaxRestarts"),
    ),
    onJobFailureReasons=listed(one_of(*REASONS)),
    onJobFailureMessagePatterns=listed(STRING),
    targetReplicatedJobs=listed(STRING),
)
DEPENDENCE = structure(("name", "status"), name=STRING, status=one_of("Ready", "Complete"))
REPLICATED_JOB = structure(
    ("name", "template"),
    name=STRING,
    groupName=STRING,
    replicas=NUMBER,
    template=KUBERNETES_OWN,
    dependsOn={**listed(DEPENDENCE), "maxItems": 5},
)
SPECIFICATION = structure(
    replicatedJobs=listed(REPLICATED_JOB),
    network=structure(enableDNSHostnames=TRUTH, subdomain=STRING, publishNotReadyAddresses=TRUTH),
    successPolicy=structure(("operator",), operator=one_of("All", "Any"), targetReplicatedJobs=listed(STRING)),
    failurePolicy=structure(
        maxRestarts=NUMBER, restartStrategy=one_of("Recreate", "BlockingRecreate", "InPlaceRestart"), rules=listed(RULE)
    ),
    startupPolicy=structure(("startupPolicyOrder",), startupPolicyOrder=one_of("AnyOrder", "InOrder")),
    suspend=TRUTH,
    coordinator=structure(("replicatedJob",), replicatedJob=STRING, jobIndex=NUMBER, podIndex=NUMBER),
    managedBy=STRING,
    ttlSecondsAfterFinished=NUMBER,
    volumeClaimPolicies=listed(
        structure(templates=listed(KUBERNETES_OWN), retentionPolicy=structure(whenDeleted=one_of("Delete", "Retain")))
    ),
)
JOB_SET = structure(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
    kind={"const": "JobSet"},
    metadata=KUBERNETES_OWN,
    spec=SPECIFICATION,
)


def is_admitted(job_set: Object) -> bool:
    """Whether the interface has every field and type of it, Kubernetes its Jobs, and the webhook nothing against it."""
    if not Draft202012Validator(JOB_SET).is_valid(job_set):
        return False
    spec, name = job_set["spec"], job_set["metadata"]["name"]
    replicated = [each["name"] for each in spec["replicatedJobs"]]
    rules = spec["failurePolicy"]["rules"]
    targets = [spec["successPolicy"], *rules]
    longest = [
        f"{name}-{each['name']}-{each['replicas'] - 1}-{each['template']['spec']['completions'] - 1}-abcde"
        for each in spec["replicatedJobs"]
    ]
    is_consistent = (
        all(LABEL.fullmatch(each) for each in [spec["network"]["subdomain"], *longest])
        and all(set(each.get("targetReplicatedJobs", ())) <= set(replicated) for each in targets)
        and len(set(replicated)) == len(replicated)
        and len({rule["name"] for rule in rules}) == len(rules)
    )
    return is_consistent and are_jobs(jobs_of(job_set))


def are_jobs(every: Iterable[Object]) -> bool:
    """Whether Kubernetes' own schemas accept them."""
    try:
        assert_schemas_accept(every)
    except ValidationError:
        return False
    return True


def jobs_of(job_set: Object) -> Iterator[Object]:
    """The Jobs that the controller makes."""
    for each in job_set["spec"]["replicatedJobs"]:
        for index in range(each["replicas"]):
            metadata = each["template"].get("metadata", {})
            name = f"{job_set['metadata']['name']}-{each['name']}-{index}"
            yield {"apiVersion": "batch/v1", "kind": "Job", **each["template"], "metadata": {**metadata, "name": name}}


def pods_of(job_set: Object) -> Iterator[tuple[str, int, Object]]:
    """Each pod that the Jobs make: its host name, its index and its specification."""
    for job in jobs_of(job_set):
        for index in range(job["spec"]["completions"]):
            host = f"{job['metadata']['name']}-{index}.{job_set['spec']['network']['subdomain']}"
            yield host, index, job["spec"]["template"]["spec"]


def becomes_of(job_set: Object, job: str, failure: int | str) -> str:
    """What a pod's failure makes the controllers do, by their policies.

    Args:
      job: the replicated job that the pod is of.
      failure: its exit status, or the condition that it ended under.

    Returns "another pod", "counted" (another pod, until there were too many), or the JobSet's action.
    """
    (spec,) = [each["template"]["spec"] for each in job_set["spec"]["replicatedJobs"] if each["name"] == job]
    for rule in spec["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule:
            (container,) = spec["template"]["spec"]["containers"]
            assert (rule["onExitCodes"]["containerName"], rule["onExitCodes"]["operator"]) == (container["name"], "In")
            is_it = failure in rule["onExitCodes"]["values"]
        else:
            is_it = any(each == {"type": failure, "status": "True"} for each in rule["onPodConditions"])
        if is_it:
            return "another pod" if rule["action"] == "Ignore" else action_of(job_set, job, "PodFailurePolicy")
    return "counted"


def action_of(job_set: Object, job: str, reason: str) -> str:
    """What the JobSet's controller does where a Job has failed for a reason: the first rule that fits, or all anew."""
    for rule in job_set["spec"]["failurePolicy"]["rules"]:
        if reason in rule.get("onJobFailureReasons", [reason]) and job in rule.get("targetReplicatedJobs", [job]):
            return rule["action"]
    return "RestartJobSet"
