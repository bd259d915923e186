"""The section `tracking`: systems outside the run directory in which a run is tracked."""

from typing import Annotated, Literal

from tfdqn.config.fields import Section, doc, needs

_WANDB = needs("tracking.wandb", True)
_MLFLOW = needs("tracking.mlflow", True)


class Tracking(Section, frozen=True, kw_only=True):
    """Weights & Biases and MLflow: configuration, curves, evaluations, a video and the model of the best policy."""

    name: Annotated[str | None, doc("the run's name there; omit: the run directory's name")] = None
    tags: Annotated[tuple[str, ...], doc("tags of the run, to filter by")] = ()
    wandb: Annotated[bool, doc("track in Weights & Biases; needs the extra wandb, and `wandb login`")] = False
    wandb_project: Annotated[str, _WANDB, doc("project that the run belongs to", min_length=1)] = "tfdqn"
    wandb_entity: Annotated[str | None, _WANDB, doc("user or team; omit: the account's default")] = None
    wandb_group: Annotated[str | None, _WANDB, doc("group of runs; omit: none")] = None
    wandb_mode: Annotated[
        Literal["auto", "online", "offline"],
        _WANDB,
        doc("online; offline: to be sent later by `wandb sync`; auto: as WANDB_MODE says, else online"),
    ] = "auto"
    mlflow: Annotated[bool, doc("track in MLflow; needs the extra mlflow")] = False
    mlflow_experiment: Annotated[str, _MLFLOW, doc("experiment that the run belongs to", min_length=1)] = "tfdqn"
    mlflow_tracking_uri: Annotated[
        str | None, _MLFLOW, doc("a server's URL or a folder; omit: MLFLOW_TRACKING_URI, else ./mlruns")
    ] = None
