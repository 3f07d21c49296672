-- Routes and destinations that a person has paused.

CREATE TABLE pauses (
    kind text NOT NULL CHECK (kind IN ('route', 'destination')),
    name text NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    since timestamptz NOT NULL DEFAULT node_now(),
    PRIMARY KEY (kind, name)
);

COMMENT ON TABLE pauses IS 'Routes and destinations that a person has paused: jobs of a paused route stay queued, deliveries to a paused destination stay pending';
COMMENT ON COLUMN pauses.kind IS 'route or destination';
COMMENT ON COLUMN pauses.name IS 'Name of the route or destination in the configuration';
COMMENT ON COLUMN pauses.reason IS 'Why, in the words of the person';
COMMENT ON COLUMN pauses.actor IS 'Who paused it';
COMMENT ON COLUMN pauses.since IS 'When it was paused';
