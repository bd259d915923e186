"""Manifests: the files by which a platform (Compose, Kubernetes, Slurm, …) runs a job.

In: a `JobSpec`. Out: the files' names and contents. A role's resources, grace period, files and needs come from
`cluster.roles.TRAITS`.

To add a platform: its name in `platforms.Platform`, and a module of that name with `render(spec)`. If each process is
a container or a pod of its own, start from `compose` or `kubernetes`; if roles must share machines, from `pools`.
`kubernetes`, `jobset` and `tfjob` take their pods from `pods` and other objects from `kubernetes_objects`. To add a
size of the first two: a line in `sizes.SIZES`, and one in docs/deploy.md.
"""
