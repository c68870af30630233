"""Settings of TensorFlow that must be made before it is imported."""
