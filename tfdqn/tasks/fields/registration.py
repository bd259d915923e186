"""The ids of tfdqn's own environments, for gymnasium's registry."""

import gymnasium

ENTRY_POINTS = {
    "tfdqn/AmericanPut-v0": "tfdqn.tasks.fields.american_put:AmericanPut",
    "tfdqn/Battery-v0": "tfdqn.tasks.fields.battery:Battery",
    "tfdqn/Inventory-v0": "tfdqn.tasks.fields.inventory:Inventory",
    "tfdqn/JobShop-v0": "tfdqn.tasks.fields.job_shop:make_job_shop",
    "tfdqn/Stocks-v0": "tfdqn.tasks.fields.stocks:make_stocks",
}


def register() -> None:
    """Registers the ids with gymnasium; calling it again changes nothing."""
    for task_id, entry_point in ENTRY_POINTS.items():
        if task_id not in gymnasium.registry:
            gymnasium.register(task_id, entry_point)
