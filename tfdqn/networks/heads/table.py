"""`HEADS`: the head for each type of the settings in `[agent]`; those without a line have the linear one."""

from tfdqn.config import C51, IQN, QRDQN, Agent
from tfdqn.networks.branches import branching, branching_numpy
from tfdqn.networks.heads.categorical import categorical, categorical_numpy
from tfdqn.networks.heads.head import BranchesKind, HeadKind, check_head_kind, linear
from tfdqn.networks.heads.quantile import implicit_quantile, implicit_quantile_numpy, quantile, quantile_numpy
from tfdqn.networks.registry import Registry
from tfdqn.networks.streams import stream_numpy

HEADS: Registry[HeadKind] = Registry(
    "HEADS",
    Agent,
    {
        Agent: HeadKind(linear, stream_numpy, takes_members=True, branches=BranchesKind(branching, branching_numpy)),
        C51: HeadKind(categorical, categorical_numpy, takes_members=True),
        QRDQN: HeadKind(quantile, quantile_numpy, takes_members=True),
        IQN: HeadKind(implicit_quantile, implicit_quantile_numpy, takes_members=True),
    },
    check_head_kind,
)
