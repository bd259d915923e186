"""Where numbers go while a run lasts: JSON lines, TensorBoard."""
