"""Acting: policy → environments → transitions.

`actor.Actor` steps a batch of environments with the newest weights and writes their transitions to replay; `actors` has
several as one. `factory.make_policy` makes the policy. A `policy.Policy` is Q-values (from NumPy, TensorFlow, or the
learner's process: `central_inference`) and `exploration`; those that remember something of an episode are subclasses:
`recurrent_policy`, `member_policy`. It imports tasks, networks, replay's interfaces and coordination's channel of
weights, nothing that learns. Another way to explore is a function in `exploration`, a case in `Policy`, and its
settings in `config.Exploration`; one that lasts longer than a step is a subclass of `Policy`, and a case in `factory`.
"""
