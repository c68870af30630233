"""Serving: one exact order of examples, and the input pipelines that bring them to the step.

`order` says which example stands at a position of the run, `batches` which positions a step takes
and which of them this process reads; `input_pipeline` chooses how they come: `resident` from the
device's memory, or `stream`, which reads them by `reading` while the steps before run.
"""
