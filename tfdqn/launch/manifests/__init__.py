"""Manifests: a job's program as the files by which a platform runs it. One file is one platform."""
