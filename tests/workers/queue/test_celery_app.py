"""Settings of the Celery application."""

from core.settings.settings import Settings
from deploy.settings_file import load_settings
from workers.queue.celery_app import make_app, make_publishing_app
from workers.queue.queue_names import QUEUES

BROKER = {"DICOM_NODE_BROKER__URL": "redis://127.0.0.1:1/0"}


def settings(**environ: str) -> Settings:
    return load_settings(None, {**BROKER, **environ})


def test_the_message_of_a_running_task_is_not_delivered_again() -> None:
    app = make_app(settings(DICOM_NODE_WORKER__SOFT_TIME_LIMIT_S="100", DICOM_NODE_WORKER__HARD_TIME_LIMIT_S="2000"))
    assert app.conf.broker_transport_options["visibility_timeout"] > 2 * app.conf.task_time_limit == 4000
    assert app.conf.task_soft_time_limit == 100


def test_messages_are_json_only() -> None:
    app = make_app(settings())
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
    assert app.conf.result_backend is None
    assert not app.conf.worker_enable_remote_control


def test_messages_of_killed_workers_are_delivered_again_and_none_is_prefetched() -> None:
    app = make_app(settings())
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.worker_proc_alive_timeout >= 180
    assert sorted(queue.name for queue in app.conf.task_queues) == sorted(QUEUES)


def test_a_publisher_has_a_socket_timeout() -> None:
    assert make_publishing_app(settings()).conf.broker_transport_options["socket_timeout"] <= 10
    assert "socket_timeout" not in make_app(settings()).conf.broker_transport_options
