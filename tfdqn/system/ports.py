"""Ports of this host: whether one is free for a server that listens on every interface."""

import socket

from tfdqn.errors import ClusterError
from tfdqn.system.addresses import host_and_port


def refuse_port_in_use(address: str) -> None:
    """Raises ClusterError where another server has the port of "host:port".

    Reverb would share it with that one, and each would get a part of the calls.
    """
    _, port = host_and_port(address)
    with socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET) as probe:
        # Connections of the one before may linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if probe.family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("", port))
        except OSError as error:
            raise ClusterError(f"{address} can't be served: {error.strerror}") from None
