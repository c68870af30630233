"""Records of TFRecord files, from where they are stored to tensors: what most sources stand on.

`files` and `staging` bring a file here, `tfrecord` finds its records and `indexes` keeps where they
are, `reader` reads and checks those that are asked for, `decode` makes tensors of them.
"""
