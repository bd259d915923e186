"""Jobs of many processes: the supervisor, this host's GPUs, how a job stands, manifests for platforms."""
