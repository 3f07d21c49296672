"""Sign-in by OpenID Connect: the provider and its checks, and the routes."""
