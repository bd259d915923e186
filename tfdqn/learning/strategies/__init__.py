"""Ways to divide the work of learning: one file per way. Each drives the same train step."""
