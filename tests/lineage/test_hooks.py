"""`Task.on_evaluation`: called once an evaluation, writes what it likes, and changes nothing."""

STEPS = (2, 4, 6)


def test_a_hook_cannot_change_the_run(runs):
    plain, watched, again = (runs["hooks"][k] for k in ("plain", "watched", "again"))
    assert watched["state_digest"] == plain["state_digest"] == again["state_digest"]


def test_it_is_called_once_an_evaluation_and_after_a_restart_only_where_one_is_due(runs):
    calls = {name: text for name, text in runs["hooks"]["files"].items() if "calls" in name}
    expected = {2: "2\n", 4: "4\n", 6: "6\n6\n"}  # the run died after the save of step 4
    assert calls == {f"evaluations/step_{s:09d}/calls.txt": text for s, text in expected.items()}


def test_what_it_writes_is_in_the_workdir(runs):
    files, folder = runs["hooks"]["files"], "evaluations/step_000000006"
    assert files[f"{folder}/said.txt"] == "step 6"
    assert files[f"{folder}/numbers.csv"].startswith("metric,value")
    assert files[f"{folder}/black.png"].startswith("\x89PNG")
    norms = {x["step"]: x["eval/norm"] for x in runs["hooks"]["lines"] if "eval/norm" in x}
    assert tuple(norms) == STEPS
    assert all(norm > 0 for norm in norms.values())
