"""Acting: one policy call for all environments, the actor that fills replay, the evaluator that owns 'best'."""
