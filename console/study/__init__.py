"""The study page: what happened to a study, what the models said, what was sent to whom, and who has viewed it."""
