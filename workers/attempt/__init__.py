"""One attempt of a job, read in the order claim -> prefetch -> prepare -> predict -> finish.

=================  =======================================================================================
``wake_up``        handles a wake-up: claims due jobs and runs one attempt of each
``claim``          leases the next job; photographs of one model together, as a batch
``prefetch``       leases and decodes the next series while the current one is computed
``analyse``        carries a batch of jobs through the next three steps
``prepare``        verifies the input files and decodes them to volumes or photographs
``predict``        passes them through the model, in halves where a pass fails
``finish``         makes and stores the result objects, and commits the result
``not_analysed``   instead of analyse: reports why a job has no result
``failures``       ends an attempt that raised an exception: records the reason, decides on the retry
``lease``          renews the leases of the jobs beside the work
``inputs``         locates and verifies the input files
=================  =======================================================================================
"""
