"""Exit codes: the table of the design, and manifests that cannot disagree with it."""

import pytest

from common.exit_codes import ExitCode
from launch.render import failure_rules
from launch.spec import exit_policy
from launch.spec.exit_policy import Verdict


def kubernetes_verdict(rules: list[dict], code: int) -> str:
    """What the Job controller does about an exit code: the first matching rule wins."""
    for rule in rules:
        condition = rule.get("onExitCodes")
        if condition and (code in condition["values"]) == (condition["operator"] == "In"):
            return rule["action"]
    return "Count"


# What follows each code: here, for the pods of a Job, for a trial, for the pods of a JobSet.
FOLLOWS = {
    0: (Verdict.DONE, "Count", "Count", "Count"),
    1: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    2: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    64: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    65: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    66: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    70: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    78: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    126: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    127: (Verdict.FAIL, "FailJob", "FailIndex", "FailJob"),
    137: (Verdict.COUNT, "Count", "Count", "Count"),
    143: (Verdict.IGNORE, "Ignore", "Ignore", "FailJob"),
    200: (Verdict.COUNT, "Count", "Count", "Count"),
    201: (Verdict.COUNT, "Count", "Count", "Count"),
    202: (Verdict.COUNT, "Count", "Count", "Count"),
    203: (Verdict.COUNT, "Count", "Count", "Count"),
}


def test_every_code_has_a_row():
    named = {*ExitCode, *exit_policy.SHELL_CODES, *exit_policy.PYTHON_CODES, 137}
    assert set(FOLLOWS) == {int(code) for code in named}


@pytest.mark.parametrize("code", FOLLOWS)
def test_what_follows_a_code_is_what_the_table_says(code):
    rules = [
        failure_rules.of_job,
        failure_rules.of_sweep,
        failure_rules.of_gang,
    ]
    actions = [kubernetes_verdict(make(), code) for make in rules]
    assert (exit_policy.judge_exit(code), *actions) == FOLLOWS[code]


@pytest.mark.parametrize(
    ("rules", "actions"),
    [
        (failure_rules.of_job, ["Ignore", "Ignore", "FailJob"]),
        (failure_rules.of_sweep, ["Ignore", "Ignore", "FailIndex"]),
        (failure_rules.of_gang, ["FailJob", "FailJob", "FailJob"]),
    ],
)
def test_the_rules_are_these_and_no_others(rules, actions):
    disrupted = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    codes = [[143], [1, 2, 64, 65, 66, 70, 78, 126, 127]]
    exits = [
        {"onExitCodes": {"containerName": "trainer", "operator": "In", "values": values}}
        for values in codes
    ]
    conditions = [disrupted, *exits]
    wanted = [{"action": a, **rest} for a, rest in zip(actions, conditions, strict=True)]
    assert rules() == wanted


@pytest.mark.parametrize("code", list(ExitCode))
def test_a_code_may_be_retried_exactly_from_128_on(code):
    assert code.retriable == (code >= 128)
    verdict = exit_policy.judge_exit(code)
    expected = (Verdict.IGNORE, Verdict.COUNT) if code >= 128 else (Verdict.DONE, Verdict.FAIL)
    assert verdict in expected


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ([0, 0], Verdict.DONE),
        ([143, 143], Verdict.IGNORE),
        ([137, 201], Verdict.COUNT),
        ([143, 201], Verdict.COUNT),
        ([201, 78], Verdict.FAIL),
        ([], Verdict.DONE),
    ],
)
def test_the_gravest_exit_of_an_attempt_decides(codes, verdict):
    assert exit_policy.judge_attempt(codes) is verdict


@pytest.mark.parametrize("code", range(1, 256))
def test_manifests_and_the_local_backend_agree_on_every_code(code):
    action = kubernetes_verdict(failure_rules.of_job(), code)
    same = {Verdict.IGNORE: "Ignore", Verdict.COUNT: "Count", Verdict.FAIL: "FailJob"}
    assert action == same[exit_policy.judge_exit(code)]
    index_action = kubernetes_verdict(failure_rules.of_sweep(), code)
    assert index_action == action.replace("FailJob", "FailIndex")


@pytest.mark.parametrize("code", range(1, 256))
def test_jobsets_agree_too(code):
    action = kubernetes_verdict(failure_rules.of_gang(), code)
    message = f"Container trainer for pod ns/p failed with exit code {code} matching FailJob rule"
    outcome = "RestartJobSet"  # JobSet's own rule when none matches
    for rule in failure_rules.of_jobset() if action == "FailJob" else ():
        patterns = rule.get("onJobFailureMessagePatterns")
        if patterns is None or any(pattern in message for pattern in patterns):
            outcome = rule["action"]
            break
    expected = {
        Verdict.IGNORE: "RestartJobSetAndIgnoreMaxRestarts",
        Verdict.COUNT: "RestartJobSet",
        Verdict.FAIL: "FailJobSet",
    }
    assert outcome == expected[exit_policy.judge_exit(code)]


def test_a_jobset_restarts_what_was_evicted_and_does_not_count_it():
    stopped, permanent = failure_rules.of_jobset()
    message = "Pod ns/p has condition DisruptionTarget matching FailJob rule at index 0"
    assert any(pattern in message for pattern in stopped["onJobFailureMessagePatterns"])
    assert stopped["action"] == "RestartJobSetAndIgnoreMaxRestarts"
    reasons = [rule["onJobFailureReasons"] for rule in (stopped, permanent)]
    assert reasons == [["PodFailurePolicy"]] * 2
    # 143 alone: a code that only begins like it is another one.
    other = "Container trainer for pod ns/p failed with exit code 1431 matching FailJob rule"
    assert not any(pattern in other for pattern in stopped["onJobFailureMessagePatterns"])


def test_an_evicted_pod_is_never_judged_by_its_exit_code():
    first = failure_rules.of_job()[0]
    assert first["action"] == "Ignore"
    assert first["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


@pytest.mark.parametrize("code", [*ExitCode, 1, 2, 126, 127, 134, 137, 139, 255])
def test_every_code_has_a_meaning_and_an_advice(code):
    meaning, advice = exit_policy.explain_exit(int(code))
    assert meaning
    assert advice


def test_signals_are_named():
    assert exit_policy.shell_code(-9) == 137
    assert exit_policy.explain_exit(137)[0] == "killed by SIGKILL"
    assert exit_policy.explain_exit(139)[0] == "killed by SIGSEGV"


def test_the_delay_before_a_restart_grows_to_a_limit():
    delays = [exit_policy.restart_delay_secs(attempt) for attempt in (0, 1, 5, 9, 10_000)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0.1, 10.0)
    assert [exit_policy.restart_delay_secs(attempt) for attempt in (1, 2, 6, 7)] == [
        0.2,
        0.4,
        6.4,
        10,
    ]
