"""Learning: batches → gradients → weights, and the ways to drive that one train step."""
