"""`Horizon`: the number n of rewards in a transition, and the discount γ; each constant or scheduled."""

from typing import NamedTuple

from tfdqn.config import Agent


class Horizon(NamedTuple):
    """n and γ as functions of the environment steps taken.

    A schedule changes n and 1 − γ exponentially over `env_steps` steps: Schwarzer et al. 2023,
    'Bigger, better, faster', section 3, where n falls from 10 to 3 and γ rises from 0.97 to 0.997.
    """

    n_step: int
    discount: float
    n_step_end: int | None = None  # None: constant
    discount_end: float | None = None  # None: constant
    env_steps: int = 1

    @classmethod
    def of(cls, settings: Agent) -> "Horizon":
        """The horizon that `[agent]` configures."""
        steps = settings.horizon_env_steps
        return cls(settings.n_step, settings.discount, settings.n_step_end, settings.discount_end, steps)

    @property
    def longest(self) -> int:
        """The largest n of the whole schedule."""
        return max(self.n_step, self.n_step_end or 0)

    @property
    def is_constant(self) -> bool:
        return self.n_step_end is None and self.discount_end is None

    def at(self, env_steps: int) -> tuple[int, float]:
        """Returns (n, γ) after `env_steps` environment steps of all actors together."""
        fraction = min(env_steps / self.env_steps, 1.0)
        n, discount = float(self.n_step), self.discount
        if self.n_step_end is not None:
            n *= (self.n_step_end / n) ** fraction
        if self.discount_end is not None:
            discount = 1 - (1 - discount) * ((1 - self.discount_end) / (1 - discount)) ** fraction
        return round(n), discount
