-- Plans statements without and with hypothetical indexes (HypoPG), and prints the plans as JSON.
-- Nothing is executed and nothing stays: the transaction is rolled back, and HypoPG's indexes, which
-- no transaction has, are removed before its end.
--
-- Variables of psql: roles, whose statements are planned, as the first of them, separated by commas
-- (empty: those of this session's role); statements (the most to read), mean_ms (their least mean
-- time), rows (the least rows of a table); tries (JSON: [{"query": …, "indexes": […]}, …]; empty: the
-- statements that took most of the time, without indexes).
\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
SELECT count(*) FILTER (WHERE name = 'hypopg') = 0 AS no_hypopg,
       count(*) FILTER (WHERE name = 'pg_stat_statements' AND installed_version IS NOT NULL) = 0 AS no_statements
FROM pg_catalog.pg_available_extensions \gset
\if :no_hypopg
    \echo '{"missing": "hypopg"}'
    \quit
\endif
\if :no_statements
    \echo '{"missing": "pg_stat_statements"}'
    \quit
\endif

BEGIN;
SET LOCAL client_min_messages = 'error';
SET LOCAL statement_timeout = '5s';
-- A statement's locks must not queue behind those of a migration, with others behind them.
SET LOCAL lock_timeout = '200ms';
-- Without values of parameters, as the server plans a statement that is prepared and often used.
SET LOCAL plan_cache_mode = 'force_generic_plan';
CREATE EXTENSION IF NOT EXISTS hypopg SCHEMA public;
SET LOCAL search_path = pg_catalog;
SELECT quote_ident(nspname) AS statistics
FROM pg_extension JOIN pg_namespace ON extnamespace = pg_namespace.oid
WHERE extname = 'pg_stat_statements' \gset
SELECT coalesce(nullif(:'roles', ''), current_user::text) AS roles \gset

-- Runs as the app's role and can become no other: a statement may have a function that the planner
-- calls.
CREATE FUNCTION pg_temp.doctor(tries jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $doctor$
DECLARE
    trial jsonb;
    definition text;
    place text := (SELECT quote_ident(nspname) FROM pg_catalog.pg_extension
                   JOIN pg_catalog.pg_namespace n ON extnamespace = n.oid WHERE extname = 'hypopg');
    number int;
    name text;
    size bigint;
    plan jsonb;
    indexes jsonb;
    results jsonb := '[]';
BEGIN
    FOR trial IN SELECT * FROM jsonb_array_elements(tries) LOOP
        BEGIN
            indexes := '[]';
            FOR definition IN SELECT * FROM jsonb_array_elements_text(trial -> 'indexes') LOOP
                EXECUTE format('SELECT indexname, %1$s.hypopg_relation_size(indexrelid) FROM %1$s.hypopg_create_index($1)', place)
                INTO name, size USING definition;
                indexes := indexes || jsonb_build_object('name', name, 'bytes', size);
            END LOOP;
            SELECT coalesce(max(parameter[1]::int), 0) INTO number
            FROM regexp_matches(trial ->> 'query', '\$(\d+)', 'g') AS parameter;
            EXECUTE 'PREPARE fastapi_operator_doctor AS ' || (trial ->> 'query');
            EXECUTE 'EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE fastapi_operator_doctor'
                || CASE WHEN number > 0 THEN format('(NULL%s)', repeat(', NULL', number - 1)) ELSE '' END
            INTO plan;
            results := results || jsonb_build_object('plan', plan -> 0 -> 'Plan', 'indexes', indexes);
            -- Releases the locks of the statement.
            RAISE EXCEPTION USING ERRCODE = 'FA000';
        EXCEPTION
            WHEN SQLSTATE 'FA000' THEN NULL;
            WHEN query_canceled THEN
                EXECUTE format('SELECT %s.hypopg_reset()', place);
                RAISE;
            -- Some statements cannot be planned without their values.
            WHEN OTHERS THEN results := results || jsonb_build_object('error', SQLERRM);
        END;
        EXECUTE format('SELECT %s.hypopg_reset()', place);
        IF EXISTS (SELECT FROM pg_catalog.pg_prepared_statements AS p WHERE p.name = 'fastapi_operator_doctor') THEN
            DEALLOCATE fastapi_operator_doctor;
        END IF;
    END LOOP;
    RETURN results;
END
$doctor$;
SELECT current_user <> split_part(:'roles', ',', 1) AS other \gset
\if :other
    SELECT format('ALTER FUNCTION pg_temp.doctor OWNER TO %I', split_part(:'roles', ',', 1)) \gexec
\endif
SET TRANSACTION READ ONLY;

SELECT coalesce(jsonb_agg(jsonb_build_object(
           'query', query, 'calls', calls, 'seconds', total_exec_time / 1000)), '[]') AS slowest
FROM (
    SELECT query, sum(calls) AS calls, sum(total_exec_time) AS total_exec_time
    FROM :statistics.pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND pg_get_userbyid(userid) = ANY (string_to_array(:'roles', ','))
      AND query ~* '^\s*(/\*([^*]|\*[^/])*\*/\s*)*(select|update|delete|with)\M'
    GROUP BY query
    HAVING sum(total_exec_time) / sum(calls) >= :mean_ms
    ORDER BY 3 DESC
    LIMIT :statements
) AS slowest \gset
SELECT coalesce(jsonb_agg(jsonb_build_object(
           'schema', nspname, 'name', relname, 'sql', format('%I.%I', nspname, relname),
           'rows', reltuples::bigint)), '[]') AS tables
FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid
WHERE relkind IN ('r', 'm') AND NOT relispartition AND reltuples >= :rows
  AND nspname NOT IN ('pg_catalog', 'information_schema') \gset
SELECT extract(epoch FROM now() - stats_reset) AS seconds FROM :statistics.pg_stat_statements_info \gset
SELECT coalesce(nullif(:'tries', ''), :'slowest') AS tries \gset

SET LOCAL search_path = "$user", public;
SELECT pg_catalog.jsonb_build_object(
    'statements', :'slowest'::pg_catalog.jsonb, 'tables', :'tables'::pg_catalog.jsonb,
    'seconds', :'seconds'::pg_catalog.float8,
    'plans', pg_temp.doctor(:'tries'::pg_catalog.jsonb));
ROLLBACK;
