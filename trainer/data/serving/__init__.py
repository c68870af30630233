"""Serving: one exact order of examples, and the input pipelines that bring them to the step.

`order` says which examples a step gets, and which of them this process reads; `input_pipeline`
chooses how they come: `resident` from the device's memory, or `stream`, which reads them by
`reading` while the steps before run.
"""
