-- Roles, database and privileges of the service. Runs at every start over the pod's own socket,
-- while the server accepts no other connection. Each statement can run any number of times.
\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
\set app_password `cat /etc/postgresql/passwords/app`
\set alternate_password `cat /etc/postgresql/passwords/app_alternate`
\set migrator_password `cat /etc/postgresql/passwords/migrator`
\set monitor_password `cat /etc/postgresql/passwords/monitor`

-- No password is written to a log, not even in a statement that fails.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET client_min_messages = 'warning';

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY['app', 'app_alternate', 'migrator', 'monitor']) AS role
WHERE role NOT IN (SELECT rolname FROM pg_roles)
\gexec

ALTER ROLE app WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'app_password';
ALTER ROLE app_alternate WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'alternate_password';
ALTER ROLE migrator WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'migrator_password';
ALTER ROLE monitor WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'monitor_password';
-- Can read all statistics and no rows.
GRANT pg_monitor TO monitor;
-- The app's role after every second rotation of its credentials; it acts as the first role.
GRANT app TO app_alternate;
ALTER ROLE app_alternate SET role = 'app';

-- Settings of the role, not of a connection: clients share the connections of a pooler.
ALTER ROLE app SET statement_timeout = '15s';
ALTER ROLE app SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE app_alternate SET statement_timeout = '15s';
ALTER ROLE app_alternate SET idle_in_transaction_session_timeout = '30s';
-- A migration may take long. Its sidecar limits how long others wait behind it.
ALTER ROLE migrator SET statement_timeout = 0;
ALTER ROLE migrator SET lock_timeout = 0;
-- A query that takes longer than the timeout of a scrape is useless.
ALTER ROLE monitor SET statement_timeout = '10s';

-- The migrator owns the database and its schema public; the app reads and writes rows.
-- Without migrations, the app creates its tables itself. Later migrations can change them.
GRANT app TO migrator;
SELECT 'CREATE DATABASE app OWNER migrator'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'app')
\gexec
REVOKE ALL ON DATABASE app FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE app TO app;
GRANT CONNECT ON DATABASE app TO monitor;

\connect app
SET client_min_messages = 'warning';
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
GRANT USAGE ON SCHEMA public TO app;
REVOKE CREATE ON SCHEMA public FROM app;
REVOKE CREATE ON DATABASE app FROM app;
ALTER DEFAULT PRIVILEGES FOR ROLE migrator GRANT USAGE ON SCHEMAS TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE migrator
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE migrator GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO app;
