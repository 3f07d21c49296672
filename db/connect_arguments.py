"""How every connection to PostgreSQL is made, with SQLAlchemy or without."""

URL_HINT = "postgresql://user:password@host:port/database, with commas between several host:port"

# Session settings: times are returned in UTC, waiting too long for a lock is a transient error, and queries are not compiled, which costs
# more than it saves where they are short. A commit is on disk when it is answered, also on a server that is set not to wait for that: what
# senders are told Success for, and what is queued for a destination, is still there after a loss of power.
_OPTIONS = "-c timezone=UTC -c jit=off -c lock_timeout=30s -c idle_in_transaction_session_timeout=120s -c synchronous_commit=on"
# A host that is lost sends nothing. Without limits, Linux waits two hours for an idle peer and 15 minutes for one that owes an answer:
# a role would wait that long for a primary that is gone, and the server would keep the locks of a node that is gone.
LOST_AFTER_S, KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVES = 20, 10, 5, 2
SESSION_OPTIONS = (
    f"{_OPTIONS} -c tcp_keepalives_idle={KEEPALIVE_IDLE_S} -c tcp_keepalives_interval={KEEPALIVE_INTERVAL_S}"
    f" -c tcp_keepalives_count={KEEPALIVES} -c tcp_user_timeout={LOST_AFTER_S}s"
)
CONNECTION_OPTIONS = {
    "application_name": "dicom-node",
    "connect_timeout": 10,
    "keepalives_idle": KEEPALIVE_IDLE_S,
    "keepalives_interval": KEEPALIVE_INTERVAL_S,
    "keepalives_count": KEEPALIVES,
    "tcp_user_timeout": LOST_AFTER_S * 1000,
}
