"""A wake-up ends every wait, is not lost while a loop works, and nothing waits once the role stops."""

import threading

from db.roles.wake_up import WakeUp


def test_a_wake_up_ends_every_wait() -> None:
    wake_up = WakeUp(threading.Event())
    threads = [threading.Thread(target=wake_up.subscribe(), args=(600.0,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    wake_up.wake_all()
    for thread in threads:
        thread.join(600)
        assert not thread.is_alive()


def test_a_wake_up_while_a_loop_works_ends_its_next_wait() -> None:
    wake_up = WakeUp(threading.Event())
    wait = wake_up.subscribe()
    wake_up.wake_all()
    wait(600.0)
    wake_up.wake_all()
    wake_up.wake_all()
    wait(600.0)


def test_nothing_waits_once_the_role_stops() -> None:
    stop = threading.Event()
    stop.set()
    WakeUp(stop).subscribe()(600.0)
