"""Who is told when something is wrong: what is watched, and the webhook."""
