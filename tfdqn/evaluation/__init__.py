"""Evaluation: greedy episodes, on environments of their own.

Weights flow in, `records.Evaluation` and `EpisodeScores` flow out. `evaluator` evaluates while a run trains and decides
what its best policy is; `evaluate` scores a run afterwards, and `video` records an episode of it. It imports acting,
tasks, networks and storage, nothing that learns. Another statistic is a field of `records.EpisodeScores` that
`evaluator.scores` fills; another format of videos is one more `video.Format`.
"""
