"""Training across sites: only weights leave a site. Built on NVIDIA FLARE, which connects the sites over mutual TLS.

==========================  =======================================================================================
``plan``                    what is trained, for how long, and what the coordinator demands of a round
``startup_kits``            certificates and settings for the coordinator and each site
``site_images``             the folder of labelled images of one site
``local_training``          trains the weights that arrived on a site's own images
``site_executor``           runs inside FLARE at a site: one task in, one update out
``job_check``               runs inside FLARE at a site: refuses every job that is not a round
``update_check``            which updates are refused: other names or shapes, NaN, too long, against all others
``round_controller``        runs inside FLARE at the coordinator: sends the weights, checks and averages the updates
``flare_processes``         starts and ends FLARE's processes
``coordinator``             round after round, until the version is written
``federated_version``       card and weights of the result, for `models import`
==========================  =======================================================================================
"""
