"""Sign-in and access to the console: who may open which page. Policy in `access`, enforcement in `guard`, pages beside them."""
