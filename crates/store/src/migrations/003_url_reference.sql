-- How a source was reached, as its file wrote it (variables and secret files by name, never a secret), so that what
-- naru made there can be removed after the file is gone.

ALTER TABLE sync_sources ADD COLUMN url_reference TEXT;
