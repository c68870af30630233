"""Faults of TrainJobs and their runtimes, by kind: base, document, path, value, word."""

from plant import DELETE, swap

_JOBSET = "spec.template.spec"
_JOB = f"{_JOBSET}.replicatedJobs.0"
_POD = f"{_JOB}.template.spec.template.spec"
_OURS = ("trainjob", "TrainingRuntime")
_QUEUED = {"kueue.x-k8s.io/queue-name": "training"}

TRAINJOBS = {
    "a TrainJob without its runtime": [
        (
            "torch_trainjob",
            "TrainJob",
            "spec.runtimeRef.name",
            "torch-distribted",
            "TrainJob is refused",
        ),
        ("torch_trainjob", "TrainJob", "spec.runtimeRef.kind", DELETE, "ClusterTrainingRuntime"),
        ("torch_trainjob", "TrainingRuntime", "metadata.name", "other", "TrainJob is refused"),
    ],
    "what a TrainJob changes and its runtime has not": [
        ("torch_trainjob", "TrainingRuntime", f"{_JOB}.template.metadata", DELETE, "is ignored"),
        (
            *(
                "torch_trainjob",
                "TrainJob",
                "spec.podTemplateOverrides.0.targetJobs.0.name",
                "nodes",
            ),
            "no replicated job 'nodes'",
        ),
    ],
    "a TrainJob that never starts": [
        (
            "torch_trainjob",
            "TrainJob",
            "spec.suspend",
            True,
            "spec.suspend: the job would never start",
        ),
        ("torch_trainjob", "TrainingRuntime", "metadata.labels", _QUEUED, "not on the TrainJob"),
        ("torch_trainjob", "TrainingRuntime", f"{_POD}.containers.0.name", "main", "called 'node'"),
    ],
    "a field of a TrainJob": [
        ("torch_trainjob", "TrainJob", "spec.trainer.numNode", 2, "numNode"),
        ("torch_trainjob", "TrainJob", "spec.trainer.numNodes", "two", "numNodes"),
        ("torch_trainjob", "TrainJob", "spec.runtimeRef", {}, "runtimeRef"),
        ("torch_trainjob", "TrainingRuntime", f"{_JOBSET}.replicatedJob", [], "replicatedJob"),
        ("torch_trainjob", "TrainingRuntime", "spec.mlPolicy.torch.nproc", 2, "nproc"),
        ("torch_trainjob", "TrainJob", "metadata.name", "1st", "starting with a letter"),
    ],
    "a JobSet in a runtime": [
        (*_OURS, f"{_JOBSET}.ttlSecondsAfterFinished", 600, "the training starts over"),
        (*_OURS, f"{_JOBSET}.failurePolicy.restartStrategy", DELETE, "BlockingRecreate"),
        (*_OURS, f"{_JOBSET}.failurePolicy.rules.0.onJobFailureReasons", ["Nope"], "'Nope'"),
        (*_OURS, f"{_JOBSET}.network.enableDNSHostnames", False, "enableDNSHostnames"),
        (*_OURS, f"{_JOB}.template.spec.backoffLimit", 2, "without its peers"),
        (*_OURS, f"{_JOB}.template.spec.completion", 2, "completion"),
        (*_OURS, f"{_JOB}.template.spec.completions", 3, "3 pods"),
        (*_OURS, f"{_JOB}.name", "workers", "no pod and no Service"),
        (*_OURS, f"{_POD}.containers.0.env.3.value", swap("-0-1.", "-0-2."), "trainjob-worker-0-2"),
        (*_OURS, f"{_POD}.serviceAccountName", DELETE, "serviceAccountName"),
        ("trainjob", "TrainJob", "metadata.name", "x" * 60, "characters"),
    ],
}
