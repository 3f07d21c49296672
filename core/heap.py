"""What a process has loaded is no garbage: the collector need not look at it again."""

import gc


def settle() -> None:
    """What there is now stays until the process ends, and no collection walks over it.

    A full collection over what a role imports takes 0.1 to 0.4 s, and holds every thread meanwhile; pynetdicom's server asks for one
    every half minute. To be called once, when a process has loaded what it runs.
    """
    gc.collect()
    gc.freeze()
