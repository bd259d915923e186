"""Roles: one file is one process's part in a job."""
