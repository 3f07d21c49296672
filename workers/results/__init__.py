"""From a prediction to stored result objects and their deliveries, in three steps: make, check, store.

=================  =======================================================================================
``comparison``     compares the findings with earlier results of the patient
``recipients``     which destinations receive the result, and which kinds of object each of them takes
``heat_map``       the map of the evidence, within a time budget (``time_budget``)
``new_analysis``   all that the encoders need, as one record
``make``           encodes the objects (``reports``: the structured reports, which name the other objects)
``pipeline``       the three steps for all objects of one result: makes, validates and stores them as blobs
=================  =======================================================================================
"""
