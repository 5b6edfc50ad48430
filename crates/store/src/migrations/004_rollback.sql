-- Who asked for a run and why, what a rollback went back to, and the schedule that a mart was last started by: an
-- edited schedule begins with its next time.

ALTER TABLE flow_runs ADD COLUMN asked_by TEXT;     -- login name of the person; null for schedules
ALTER TABLE flow_runs ADD COLUMN why TEXT;          -- in that person's words
ALTER TABLE flow_runs ADD COLUMN rolled_to INTEGER; -- for a rollback: the run whose result it published again
ALTER TABLE flow_schedules ADD COLUMN schedule TEXT NOT NULL DEFAULT '';
