"""`deal_gpus`: shares this host's GPUs out to the processes that compute gradients."""

from collections.abc import Callable

from msgspec.structs import replace

from tfdqn.cluster.program import Program
from tfdqn.cluster.roles import TRAITS
from tfdqn.config import Config
from tfdqn.system.gpus import deal


def deal_gpus(config: Config, program: Program, gpus: tuple[str, ...], say: Callable[[str], None]) -> Program:
    """Gives each process that computes gradients its GPUs, by the environment variables that `system.gpus.deal` sets.

    Args:
      config: the whole configuration.
      program: the processes of this host.
      gpus: the GPUs that are visible here.
      say: shows one line to the user.

    Returns the program with these variables. Raises ConfigError as `deal`.
    """
    computing = [each for each in program.processes if TRAITS[each.id.role].computes_gradients(config)]
    shares = deal([each.id for each in computing], gpus, say, all_reduce=config.learner.all_reduce)
    environments = {each.id: {**each.environment, **shares[each.id]} for each in computing if each.id in shares}
    processes = (replace(each, environment=environments.get(each.id, each.environment)) for each in program.processes)
    return replace(program, processes=tuple(processes))
