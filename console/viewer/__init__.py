"""The viewer: images as the model received them, with outlines and heat map.

==================  ============================================================================================
``routes``          the page, and the data that its scripts read
``growth``          what has become of the images while the viewer is open
``tickets``         what a page that was opened may read, without another audit event for each slice
``render_pool``     starts render processes, at most so many at once
``rendered_unit``   one unit that is being decoded, or lies decoded in the cache
``render_cache``    the folder of decoded images: limited in size and in age
``render_process``  the program of a render process: decodes one unit, in the process alone
``render_unit``     what it decodes: a series, a photograph, a result object
``earlier_slices``  takes over what an earlier rendering of a series that has grown has decoded
==================  ============================================================================================
"""
