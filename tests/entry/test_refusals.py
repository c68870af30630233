"""Bad input: one line, the right code, before TensorFlow is imported (R20)."""

import json
import subprocess
import sys

import pytest
from absl.testing import flagsaver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.exit_codes import ExitCode, RunError
from tests.processes import ROOT, trainer
from trainer import __main__ as entry

WORKDIR = "--workdir=unused"


def prepare(args, environment):
    """Parse a command line as a fresh process would."""
    with flagsaver.flagsaver():
        return entry.prepare(["trainer", *args], environment)


# Each row: arguments, exit code, and what the one line must say.
REFUSED = [
    (["--nonsense=1"], 64, "nonsense"),
    ([], 64, "--workdir"),
    (["--strategy=gpu", WORKDIR], 64, "auto|cpu|mirrored|multi_worker|tpu"),
    (["--cpu_replicas=-1", WORKDIR], 64, "cpu_replicas"),
    (["extra", WORKDIR], 64, "'extra' is not a flag"),
    (["--config.seed", WORKDIR], 64, "--config.FIELD=VALUE"),
    (["--tpu=local", "--strategy=cpu", WORKDIR], 64, "contradicts"),
    (["--strategy=mirrored", "--cpu_replicas=2", WORKDIR], 64, "contradicts --strategy=mirrored"),
    (["--strategy=tpu", "--cpu_replicas=2", WORKDIR], 64, "contradicts --strategy=tpu"),
    (["--tpu=local", "--cpu_replicas=1", WORKDIR], 64, "contradicts --tpu=local"),
    (["--debug", "--cpu_replicas=2"], 64, "leave out --cpu_replicas=2"),
    (["--debug", "--debug_nan", WORKDIR], 64, "--debug contradicts --debug_nan"),
    (["--debug_nan"], 64, "--workdir is missing"),
    (["--assume_topology=2x2", WORKDIR], 64, "--dry_run --strategy=tpu"),
    (["--config=digist", WORKDIR], 78, "did you mean 'digits'"),
    (["--config=no/such/file.py", WORKDIR], 78, "no such file"),
    (["--config.sed=1", WORKDIR], 78, "did you mean 'seed'"),
    (["--config.optimizer.lerning_rate=1", WORKDIR], 78, "did you mean 'learning_rate'"),
    (["--config.optimizer=adam", WORKDIR], 78, "is a group"),
    (["--config.seed=abc", WORKDIR], 78, "config.seed='abc' must be a whole number"),
    (["--config.seed=-1", WORKDIR], 78, "config.seed=-1"),
    (["--config.train_steps=0", WORKDIR], 78, "exactly one"),
    (["--config.epochs=-2", WORKDIR], 78, "epochs=-2"),
    (["--config.epochs=1e999", WORKDIR], 78, "config.epochs=inf must be finite"),
    (["--config.loss.args.x=[1,NaN]", WORKDIR], 78, "config.loss.args.x.1=nan must be finite"),
    (["--config.epochs=1e300", WORKDIR], 78, "config.epochs=1e+300"),
    (["--config.epochs=1e308", WORKDIR], 78, "config.epochs=1e+308"),
    ([f"--config.train_steps={'9' * 23}", WORKDIR], 78, "the run must end before"),
    ([f"--config.optimizer.warmup_steps={'9' * 23}", WORKDIR], 78, "must be in 0..2**62 - 1"),
    (["--config.regularizer.args.factor=0.1", WORKDIR], 78, "config.regularizer.name is missing"),
    (["--config.models.t.args.a=1", WORKDIR], 78, "config.models.t.name is missing"),
    (["--config.metrics=[{}]", WORKDIR], 78, "config.metrics[0].name is missing"),
    (["--config.optimizer.learning_rate=0", WORKDIR], 78, "above 0"),
    (["--config.plateau.patience=0", WORKDIR], 78, "config.plateau.patience=0 must be at least 1"),
    (["--config.plateau.min_delta=-1", WORKDIR], 78, "config.plateau.min_delta=-1.0 must be"),
    (["--config.plateau.min_scale=2", WORKDIR], 78, "config.plateau.min_scale=2.0 must be in"),
    (["--config.precision=float6", WORKDIR], 78, "did you mean 'float16'"),
    (["--config.execution=xla", WORKDIR], 78, "graph, xla_step, xla_loop"),
    (["--config.virtual_replicas=3", WORKDIR], 78, "does not divide"),
    (["--cpu_replicas=3", WORKDIR], 78, "1, 2, 4 replicas"),
    (["--config.global_batch_size=2048", WORKDIR], 78, "larger than the data"),
    (["--config.model.name=cn", WORKDIR], 78, "did you mean 'cnn'"),
    (["--config.optimizer.name=adm", WORKDIR], 78, "did you mean 'adam"),
    (['--config.metrics=["acuracy"]', WORKDIR], 78, "did you mean 'accuracy'"),
    (["--config.dataset.name=digit", WORKDIR], 78, "config.dataset.name='digit'"),
    (["--config.dataset.train_split=trains", WORKDIR], 78, "no such split"),
    (["--config.dataset.train_split=train[9:3]", WORKDIR], 78, "is empty"),
    (["--config.dataset.holdout=5000", WORKDIR], 78, "leaves nothing"),
    (["--strategy=multi_worker", WORKDIR], 78, "TF_CONFIG names no workers"),
]


@pytest.mark.parametrize(("args", "code", "says"), REFUSED, ids=[str(r[0]) for r in REFUSED])
def test_bad_input_is_refused_with_the_reason(args, code, says):
    with pytest.raises(RunError) as caught:
        prepare(args, {})
    assert caught.value.code == code
    assert says in caught.value.reason
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}',
        '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": null, "index": 0}}',
        '{"cluster": {"worker": ["b:1"]}, "task": {"type": ["worker"], "index": 0}}',
    ],
)
def test_a_bad_cluster_description_is_refused(text):
    with pytest.raises(RunError, match="TF_CONFIG") as caught:
        prepare([WORKDIR], {"TF_CONFIG": text})
    assert caught.value.code is ExitCode.BAD_CONFIG


def test_refusal_takes_half_a_second_and_no_tensorflow():
    program = (
        "import sys, resource; from trainer.__main__ import main;"
        "code = main(['trainer', '--config.sed=1']);"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules;"
        "print(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    # Processor time, not time on the wall: other tests may be running.
    assert float(done.stdout) < 0.5


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--strategy=mirrored"], "no GPU"),
        (["--strategy=tpu"], "no TPU answers"),
        (["--tpu=grpc://localhost:1"], "no TPU answers"),
    ],
)
def test_a_missing_accelerator_is_never_a_cpu_run(flags, says, tmp_path):
    ended = trainer(f"--workdir={tmp_path}", "--config.train_steps=1", *flags)
    assert ended.code == 78
    assert says in ended.last_line
    assert "Traceback" not in ended.stderr


def test_a_password_in_a_url_is_not_repeated():
    with pytest.raises(RunError) as caught:
        prepare(["--config.dataset.name=tfds:https://me:canary@host/x", WORKDIR], {})
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize(
    ("url", "said"),
    [("s3://bucket/run", "needs the extra `s3`"), ("no://bucket/run", "is not available here")],
)
def test_a_workdir_in_an_unknown_store_is_refused(url, said):
    ended = trainer(f"--workdir={url}")
    assert ended.code == 78
    assert f"{url.partition(':')[0]}:// {said}" in ended.last_line


def mutated(text: str, edits: list[tuple[int, str]]) -> str:
    for place, piece in edits:
        at = place % (len(text) + 1)
        text = text[:at] + piece + text[at + (place % 3) :]
    return text


CLUSTER = json.dumps(
    {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}
)
GOOD = [
    "--config=digits",
    "--workdir=unused",
    "--strategy=cpu",
    "--cpu_replicas=2",
    "--config.seed=3",
    "--config.virtual_replicas=4",
    "--config.epochs=2",
    "--config.optimizer.clip_norm=0.5",
    "--config.dataset.train_split=train[:1000]",
    '--config.metrics=["accuracy", {"name": "top_k", "args": {"k": 3}}]',
    "--config.model.args.dropout=0.1",
]
PIECE = st.one_of(
    st.text(max_size=3), st.sampled_from(["--", "=", ".", "-1", "1e999", "NaN", "[", "{", "null"])
)
EDITS = st.lists(st.tuples(st.integers(0, 500), PIECE), max_size=3)


def check_mutated(which, edits, cluster_edits):
    """A mutated command line is a request that fits together, or one line with its code."""
    args = list(GOOD)
    args[which] = mutated(args[which], edits)
    environment = {"TF_CONFIG": mutated(CLUSTER, cluster_edits)} if cluster_edits else {}
    try:
        request = prepare(args, environment)
    except RunError as error:
        assert error.code in (ExitCode.BAD_FLAG, ExitCode.BAD_CONFIG, ExitCode.BAD_DATA)
        assert error.reason
        assert "\n" not in error.reason
    else:
        config = request.config
        assert config.global_batch_size % config.virtual_replicas == 0
        assert request.plan.total_steps > 0
        assert request.plan.batch_size <= request.plan.examples_per_epoch


CASES = {"which": st.integers(0, len(GOOD) - 1), "edits": EDITS, "cluster_edits": EDITS}
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=500, **QUIET)
@given(**CASES)
def test_mutated_input_never_crashes(which, edits, cluster_edits):
    check_mutated(which, edits, cluster_edits)


@pytest.mark.slow
@settings(max_examples=5000, **QUIET)
@given(**CASES)
def test_mutated_input_never_crashes_at_length(which, edits, cluster_edits):
    check_mutated(which, edits, cluster_edits)


def test_no_thread_is_started_before_signals_are_taken():
    # A thread that does not block SIGTERM would let it end the process without a word.
    code = "import os, trainer.__main__; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"


def test_a_bucket_holds_no_log_of_examples(tmp_path):
    shown = trainer(f"--workdir={tmp_path / 'run'}", "--log_examples=gs://bucket/examples")
    assert shown.code == 64
    assert "--log_examples=gs://bucket/examples: name a local file" in shown.last_line
    assert not (tmp_path / "run").exists()


def test_a_folder_is_no_log_of_examples(tmp_path):
    shown = trainer(f"--workdir={tmp_path / 'run'}", f"--log_examples={tmp_path}")
    assert shown.code == 78
    assert f"cannot write '{tmp_path}': Is a directory" in shown.last_line
    assert "Traceback" not in shown.stderr
