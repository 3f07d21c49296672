-- Alerts, and notifications for the webhook.

CREATE TABLE alerts (
    kind text NOT NULL,
    subject text NOT NULL,
    since timestamptz NOT NULL DEFAULT node_now(),
    details jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, subject)
);

COMMENT ON TABLE alerts IS 'Conditions that need a person, one row while the condition lasts; its begin and end are audit events';
COMMENT ON COLUMN alerts.kind IS 'Which condition, for example receive.paused';
COMMENT ON COLUMN alerts.subject IS 'What it concerns (a destination, a role, a reason); empty where there can be one only';
COMMENT ON COLUMN alerts.since IS 'When it began';
COMMENT ON COLUMN alerts.details IS 'Facts about it; no patient data';

CREATE TABLE notifications (
    id bigserial PRIMARY KEY,
    key text NOT NULL UNIQUE,
    event text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT node_now(),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT node_now(),
    note text NOT NULL DEFAULT ''
);

CREATE INDEX notifications_due ON notifications (next_attempt_at, id) WHERE state = 'pending';
CREATE INDEX notifications_at ON notifications (at);

COMMENT ON TABLE notifications IS 'Notifications for the webhook: messages about conditions and events that need a person; no patient data';
COMMENT ON COLUMN notifications.id IS 'Number of the notification, the same at every attempt';
COMMENT ON COLUMN notifications.key IS 'Identifies the event, so that it is sent once';
COMMENT ON COLUMN notifications.event IS 'What happened';
COMMENT ON COLUMN notifications.subject IS 'What it concerns';
COMMENT ON COLUMN notifications.details IS 'Facts about it';
COMMENT ON COLUMN notifications.at IS 'When it happened';
COMMENT ON COLUMN notifications.state IS 'pending, sent or failed';
COMMENT ON COLUMN notifications.attempts IS 'Attempts to send it so far';
COMMENT ON COLUMN notifications.next_attempt_at IS 'It is not sent before this time';
COMMENT ON COLUMN notifications.note IS 'Why the last attempt failed';
