"""Turns TensorFlow's long errors about a lost process into one line that names the process and the cause."""

import re

from tfdqn.cluster.tf_config import Cluster

# Lines around the sentence that says why: headings, places in Python and in the graph, counts, advice.
_OTHER_LINES = re.compile(
    r"""File\ " | Graph\ execution\ error | Detected\ at\ node | Node:\ | Original\ stack\ trace | Traceback\ \(
    | \d+\ root\ error | \d+\ successful\ operations | \d+\ derived\ errors | \[\[ | :?\{ | \^
    | Additional\ GRPC\ error\ information | The\ error\ could\ be\ from\ a\ previous | Encountered\ when\ executing
    """,
    re.VERBOSE,
)
_PROCESS = r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)(?:/device:\w+:\d+)?"
# The most reliable first: a heartbeat that stopped, the first call that failed, a process that reported an error.
_NAMED = [re.compile(words + _PROCESS) for words in ("Task:? ", "remote target ", "Error reported from ")]
# Errors that a process can raise although no other is lost: a tensor that is too large, a mistake in the graph.
_OWN_FAULTS = (
    "InvalidArgumentError",
    "ResourceExhaustedError",
    "NotFoundError",
    "UnimplementedError",
    "OutOfRangeError",
)
# What may precede the sentence, once or several times.
_HEADING = re.compile(
    rf"^(?:\(\d+\)|[A-Z_]+:|Collective ops is aborted by:|Error reported from {_PROCESS}:|Task {_PROCESS})\s*"
)
_CANT_SERVE = "Could not start gRPC server"
_PLACE_IN_GRAPH = re.compile(r"\s*\[(?:\[\{\{|Op:).*$")
_CONSEQUENCE = re.compile(r"cancel?led|aborted", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.\s+[A-Z].*$")


def in_one_line(error: Exception, cluster: Cluster, who: str) -> str | None:
    """Shortens TensorFlow's error to a line such as "the cluster has lost worker 1 at host-b:2222: Socket closed".

    `who` is the line's subject. The line may also be that this process can't serve at its address. Returns None if the
    error need not mean that a process is lost.
    """
    text = str(error)
    if _CANT_SERVE in text:
        address = cluster.addresses(cluster.job)[cluster.index]
        return f"{cluster.name} can't serve at {address}: is the address in use, or another host's?"
    lost = _lost(text, cluster)
    if lost is None and type(error).__name__ in _OWN_FAULTS:
        return None
    return f"{who} has lost {lost or 'a process'}: {_why(text) or type(error).__name__}"


def _lost(text: str, cluster: Cluster) -> str | None:
    for named in _NAMED:
        for job, index in named.findall(text):
            addresses, number = cluster.addresses(job), int(index)
            if (job, number) != (cluster.job, cluster.index) and number < len(addresses):
                return f"{cluster.name_of(job, number)} at {addresses[number]}"
    return None


def _why(text: str) -> str:
    """The first sentence that says why; preferably not one that only reports the consequence of another error."""
    said = [_sentence(" ".join(line.split())) for line in text.splitlines()]
    found = [sentence for sentence in said if sentence and not _OTHER_LINES.match(sentence)]
    causes = [sentence for sentence in found if not _CONSEQUENCE.search(sentence)]
    return next(iter([*causes, *found]), "")


def _sentence(line: str) -> str:
    while (shorter := _HEADING.sub("", line)) != line:
        line = shorter
    return _SENTENCE_END.sub("", _PLACE_IN_GRAPH.sub("", line))
