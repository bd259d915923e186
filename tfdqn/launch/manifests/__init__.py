"""Manifests: a job's program as the files by which a platform runs it.

In: a `JobSpec`. Out: names and contents of files. A role's resources, grace, files and needs come from
`cluster.roles.TRAITS`.

Another platform: its name in `platforms.Platform`, and a module of that name with `render(spec)`. Where each process is
a container or a pod of its own, start from `compose` or `kubernetes`; where roles must share machines, from `pools`.
Those made of pods, `kubernetes`, `jobset` and `tfjob`, take them from `pods`, and what stands beside them from
`kubernetes_objects`; another size of the first two is a line in `sizes.SIZES`, and one in docs/deploy.md.
"""
