"""From a prediction to stored result objects and their deliveries, in three steps: make, check, keep.

=================  =======================================================================================
``comparison``     compares the findings with earlier results of the patient
``recipients``     which destinations receive the result, and which kinds of object each of them takes
``heat_map``       the map of the evidence, within a time budget (``time_budget``)
``new_analysis``   all that the encoders need, as one record
``make``           encodes the objects (``reports``: the structured reports, which name the other objects)
``check``          validates an object before it is stored
``keep``           stores an object as a blob
``pipeline``       the three steps for all objects of one result
=================  =======================================================================================
"""
