"""Data: from the name of a dataset to the microbatches of a step.

A batch on its way, from the last room to the first that it passes:

    augment/   changes its examples on the device, right before the task
    serving/   an order says which examples a step gets, an input pipeline brings them
    sources/   one file a kind of dataset: describes it, and opens a split of it
    records/   where each record of a TFRecord file is; staged, read, checked and decoded
    info.py    what is known of a dataset before an example is read
"""
