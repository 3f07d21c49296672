"""From a prediction to stored result objects and their deliveries."""
