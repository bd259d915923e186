"""Tasks: gymnasium environments, batched; the only folder that imports environment packages."""
