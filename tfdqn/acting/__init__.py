"""Acting: steps environments by a policy, and writes the transitions to replay.

`actor.Actor` steps a batch of environments with the newest weights; `actors` groups several. `factory.make_policy`
makes the policy. A `policy.Policy` combines Q-values (computed by NumPy, by TensorFlow, or in the learner's process by
`central_inference`) with `exploration`; policies that have a state during an episode are the subclasses in
`stateful_policies`. `blas_threads` keeps NumPy from using more threads than help. Imports tasks, networks, replay and
coordination's channel of weights, and nothing that learns.

To add a way to explore, write a function in `exploration`, a case in `Explorer`, and its settings in
`config.Exploration`; if it lasts longer than a step, write a subclass of `Policy` and a case in `factory`.
"""
