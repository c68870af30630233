"""Why the API server said no, and what to change, in one line."""

import json

from common.exit_codes import ExitCode, RunError


class NotFoundError(RunError):
    """The object, or its whole kind, is not there."""


def explain(status: int, body: str, request: str) -> RunError:
    """The error that a refused request becomes.

    Args:
        status: HTTP status.
        body: what the server sent, a Status object or text.
        request: method and path, for what has no better explanation.
    """
    message = _message(body)
    kind = NotFoundError if status == 404 else RunError
    return kind(_code(status), _reason(status, message, request))


_POLICY = ("admission webhook", "ValidatingAdmissionPolicy")
# The first row whose status and one of whose words fit: words are looked for in the message.
_REASONS = (
    ((401,), ("",), "the cluster does not accept the credentials", "log in again; --context"),
    (
        (403,),
        ("exceeded quota",),
        "the namespace's quota is used up",
        "ask for less, or use --queue",
    ),
    ((400, 403, 422), _POLICY, "a policy of the cluster refuses the job", "change what it names"),
    ((403,), ("violates PodSecurity",), "PodSecurity refuses the pod", "--privileged, --namespace"),
    ((403,), ("",), "your account may not do that", "k8s/base/submitter.yaml grants it"),
    (
        (404,),
        ("page not found",),
        "the cluster lacks this kind",
        "`launch doctor --backend=kubernetes`",
    ),
    ((404,), ("",), "not found", "--name, --namespace"),
    ((409,), ("",), "already there", "choose another --name, or delete the old job"),
    ((422,), ("",), "the cluster refuses the manifest", "`launch lint` may say more"),
)


def _reason(status: int, message: str, request: str) -> str:
    for statuses, words, problem, fix in _REASONS:
        if status in statuses and any(word in message for word in words):
            return f"{problem}: {message or request} ({fix})"
    return f"the cluster answered {status} to {request}: {message}"


def _code(status: int) -> ExitCode:
    return ExitCode.TRANSIENT if status == 429 or status >= 500 else ExitCode.BAD_FLAG


def _message(body: str) -> str:
    try:
        parsed = json.loads(body)
        text = str(parsed["message"])
    except (ValueError, KeyError, TypeError):
        text = body
    return " ".join(text.split())[:500]
