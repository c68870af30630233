"""What trainer and launch both stand on; it imports nothing of theirs and no TensorFlow."""
