"""Constants of the tuning engine, each with its unit and where it comes from.

``measured`` was measured for this project (docs/tuning.md tells how), ``default of X`` is X's own
documented default, ``judgement`` is what experience suggests until a measurement says better.
"""

MIB = 2**20
GIB = 2**30

# --- the app's processes -------------------------------------------------------------------------
# Resident memory of one worker that imports FastAPI, SQLAlchemy, asyncpg and redis: measured 80 MB
# after start, doubled for a warm heap.
WORKER_MEMORY_BYTES = 160 * MIB
# A supervisor beside more than one worker: measured 29-38 MB resident.
SUPERVISOR_MEMORY_BYTES = 40 * MIB
# Memory that workers may fill at most, so that a burst does not end in an OOM kill: judgement.
MEMORY_FILL = 0.80
WORKER_MEMORY_MARGIN = 1.20
MEMORY_ROUNDING_BYTES = 32 * MIB
REQUEST_BODY_BYTES = 64 * 1024
# More event loops in one pod only share its fate: judgement.
WORKERS_MAX = 8
# Half a core keeps one event loop busy at the CPU target of the autoscaler: judgement.
CPU_REQUEST_MILLICORES_PER_WORKER = 500
# What an event loop, or another server of one thread, can use at most.
CPU_LIMIT_MILLICORES_PER_WORKER = 1000

# --- background processes and schedules ----------------------------------------------------------
# A task waits for a database or a mail server most of its time: judgement.
PROCESS_CPU_MILLICORES = 250
# One for the task, one for what it starts beside it: judgement.
PROCESS_CONNECTIONS = 2
# A task under way may end, as most take less than a minute: judgement.
BACKGROUND_GRACEFUL_SECONDS = 60
# A process that cannot start falls within seconds of its imports; the next pod of a rollout waits
# for that: judgement.
BACKGROUND_MIN_READY_SECONDS = 10
# A liveness command starts an interpreter: seconds of CPU, so seldom and with time: judgement.
COMMAND_PROBE_PERIOD_SECONDS = 30
COMMAND_PROBE_TIMEOUT_SECONDS = 15
COMMAND_PROBE_ATTEMPTS = 4
COMMAND_START_PERIOD_SECONDS = 10
COMMAND_START_ATTEMPTS = 30
SCHEDULE_TIMEOUT_SECONDS = 3600
# Cluster downtime makes a run late; after an hour the next one is nearer for most: judgement.
SCHEDULE_DEADLINE_SECONDS = 3600
# Kubernetes' defaults: what one wants to read of the last runs.
SUCCEEDED_RUNS_KEPT, FAILED_RUNS_KEPT = 3, 1

# --- requests ------------------------------------------------------------------------------------
# Used until spec.traffic says better: judgement.
CPU_MILLISECONDS_PER_REQUEST = 2
P95_MILLISECONDS = 50
# A few queries by index: judgement.
DATABASE_MILLISECONDS_PER_REQUEST = 5
# Requests that one event loop holds at once while nothing is known: judgement.
CONCURRENCY_UNKNOWN = 64
CONCURRENCY_MIN, CONCURRENCY_MAX = 16, 1000
# Share of one core that an event loop can spend on requests before queues grow: judgement.
LOOP_BUSY = 0.85
FLEET_BUSY = 0.60
# Shed at twice what one loop sustains (Little's law; Netflix concurrency-limits): judgement.
SHED_FACTOR = 2

# Default of AnyIO's thread limiter.
THREADS_DEFAULT = 40
THREADS_MIN, THREADS_MAX = 8, 100
THREADS_MARGIN = 1.25

# --- connections and shutdown --------------------------------------------------------------------
# nginx closes idle upstream connections after 60 s (its default); the app must outlast it.
PROXY_UPSTREAM_KEEP_ALIVE_SECONDS = 60
KEEP_ALIVE_MARGIN_SECONDS = 15
# Time for endpoints to leave proxies and kube-proxy before the server closes: judgement.
PRE_STOP_SECONDS = 10
# From a pod's deletion until no proxy opens connections to it: judgement.
ENDPOINT_SECONDS = 2
GRACEFUL_MIN_SECONDS, GRACEFUL_MAX_SECONDS = 20, 120
GRACE_MARGIN_SECONDS = 10
# granian has one bound for reading a request's head and for an idle connection, and takes no more.
GRANIAN_KEEP_ALIVE_MAX_SECONDS = 60
# Default of granian for one worker.
GRANIAN_CONNECTIONS_MIN = 1024
# uvicorn and gunicorn kill a worker whose event loop is silent for longer; starved pods die in a
# loop at uvicorn's default of 5 s (uvicorn issue 2506), and 120 s leave a hung one for two minutes.
WORKER_HEALTHCHECK_SECONDS = 60

# --- scaling -------------------------------------------------------------------------------------
REPLICAS_MIN = 2
REPLICAS_MAX_UNKNOWN = 10
# The ceiling is twice what the peak needs, for one failed zone and growth: judgement.
REPLICAS_HEADROOM = 2
TARGET_CPU_PERCENT = 65
# Kubernetes rounds a percentage up; one pod more at a time keeps the budget small: judgement.
SURGE_PERCENT = 25
SCALE_DOWN_STABILIZATION_SECONDS = 300
# Default of Kubernetes: the larger of the two, each time that the autoscaler looks.
SCALE_UP_PERCENT, SCALE_UP_PODS, SCALE_UP_PERIOD_SECONDS = 100, 4, 15
# A fleet that shrinks slowly is still there when a lull was none: judgement.
SCALE_DOWN_PERCENT, SCALE_DOWN_PERIOD_SECONDS = 10, 60
# One pod at a time leaves while nodes are drained: judgement.
DISRUPTED_PODS = 1
# Share of what an event loop sustains that the autoscaler aims at (Knative's target utilization).
IN_FLIGHT_FILL = 0.7

# --- PostgreSQL ----------------------------------------------------------------------------------
DATABASE_CPU_MILLICORES = 1000
DATABASE_MEMORY_BYTES = 1 * GIB
# A primary and two replicas: CloudNativePG's own examples.
REPLICATED_INSTANCES = 3
DATABASE_STORAGE_BYTES = 10 * GIB
# Nightly, off the full hour at which everybody else starts: judgement.
BACKUP_SCHEDULE = "17 2 * * *"
BACKUPS_KEPT = 7
# Dumps are compressed to a fraction of the data, of which a week's must fit: judgement.
BACKUP_TIMEOUT_SECONDS = 6 * 3600
BACKUP_RETRIES = 2
# pg_dump compresses with one core; it may wait for one: judgement.
BACKUP_CPU_MILLICORES = 100
BACKUP_MEMORY_BYTES = 256 * MIB
# A restore reads a dump to its end before the database serves: judgement.
RESTORE_START_SECONDS = 24 * 3600
# Connections that execute at once: 2 x cores + 1 disk (PostgreSQL wiki), doubled for transactions
# that wait on the app; never below 10.
ACTIVE_PER_CORE = 2
ACTIVE_SLACK = 2
SERVERS_MIN = 10
# A backend takes about 10 MiB with its caches: judgement.
BACKEND_MEMORY_BYTES = 10 * MIB
BACKENDS_MEMORY_SHARE = 0.25
# superuser_reserved_connections, PostgreSQL's default.
SUPERUSER_RESERVED = 3
# Migrations, exporter, backup and a person with psql: judgement.
ADMIN_RESERVED = 5
# Share of the open connections that the pooler may take. While its pods are replaced, those that
# end keep theirs until their clients have gone: the other half.
POOLER_SHARE = 0.50
# What the app's own pools may take: judgement.
DIRECT_SHARE = 0.90
# Of few granted connections a fifth is kept back, not eight: judgement.
RESERVED_SHARE = 0.20
# max_connections where nobody says otherwise: PostgreSQL's default.
MAX_CONNECTIONS_DEFAULT = 100
# pgtune's formulas for type "web" (its source of 2026-07-30).
SHARED_BUFFERS_SHARE = 1 / 4
EFFECTIVE_CACHE_SHARE = 3 / 4
MAINTENANCE_SHARE = 1 / 16
MAINTENANCE_MAX_BYTES = 8 * GIB
WORK_MEMORY_MIN_BYTES = 4 * MIB
WORK_MEMORY_DIVISOR = 3
WORKER_PROCESSES_DEFAULT = 8
# pgtune's write-ahead log for type "web", where the volume has room for it.
WAL_MAX_BYTES = 4 * GIB
WAL_MIN_SHARE = 1 / 4
# A checkpoint that comes late lets the log outgrow its bound; nine tenths stay for data: judgement.
WAL_VOLUME_SHARE = 1 / 10
# Two segments of 16 MiB are the least that PostgreSQL runs with; this keeps checkpoints apart.
WAL_LEAST_BYTES = 256 * MIB

# --- the pool ladder: pool < pooler queue < statement < proxy -------------------------------------
POOL_TIMEOUT_SECONDS = 5
QUERY_WAIT_TIMEOUT_SECONDS = 10
STATEMENT_TIMEOUT_SECONDS = 15
IDLE_IN_TRANSACTION_SECONDS = 30
PROXY_READ_TIMEOUT_SECONDS = 30
POOL_RECYCLE_SECONDS = 600
# Without a pooler nothing has to spread again; the age bounds what a backend's caches grow to.
DIRECT_POOL_RECYCLE_SECONDS = 1800
# Below three connections a process waits for itself; a pooler serves better: judgement.
DIRECT_POOL_MIN = 3
POOL_MARGIN = 1.5

# --- PgBouncer -----------------------------------------------------------------------------------
# A client costs PgBouncer a few KiB; a thousand on one instance wait in order: judgement.
POOLER_CLIENTS = 1000
# The largest spec.postgres.pooler.instances.
POOLER_INSTANCES_MAX = 16
POOLER_DEFAULT_SHARE = 0.75
POOLER_RESERVE_TIMEOUT_SECONDS = 2
# A database that does not answer by then is restarting; the next try follows: judgement.
POOLER_CONNECT_TIMEOUT_SECONDS = 5
# Defaults of PgBouncer: what a burst opened goes again, and no backend grows old.
POOLER_SERVER_IDLE_SECONDS = 600
POOLER_SERVER_LIFETIME_SECONDS = 3600
# Default of PgBouncer since 1.24; more than the distinct hot statements of most apps.
POOLER_PREPARED_STATEMENTS = 200

# --- Redis ---------------------------------------------------------------------------------------
CACHE_MEMORY_BYTES = 256 * MIB
# A quarter for buffers and fragmentation; one managed provider ships the same share.
CACHE_FILL = 0.75
# A snapshot is written by a fork; pages that change meanwhile exist twice: judgement.
CACHE_FILL_PERSISTENT = 0.60
# A restart loses what came since the last snapshot, which costs a pass over the data: judgement.
CACHE_SNAPSHOT_SECONDS = 300
# The old snapshot and the one that replaces it.
CACHE_SNAPSHOTS = 2
CACHE_POOL_MAX = 50
CACHE_CLIENTS_EXTRA = 32
# Granted by an external server that is silent about it; small plans of providers do: judgement.
CACHE_CLIENTS_EXTERNAL = 1000
CACHE_TIMEOUT_SECONDS = 0.25

QUEUE_MEMORY_BYTES = 256 * MIB
# A rewrite of the log forks; under writes everywhere each page is copied once: judgement.
QUEUE_FILL = 0.50
# The log may hold twice the data before it is rewritten, and the new one stands beside it; as
# text it is as large as in memory (measured: 0.97 to 1.03 times, messages of 100 to 10,000
# bytes). The rest is for what arrives meanwhile.
QUEUE_LOG_COPIES = 8
QUEUE_LOG_COPIES_MIN = 4
# Default of Redis: a smaller log is not worth a rewrite.
QUEUE_LOG_REWRITE_BYTES = 64 * MIB

# The server itself, its code and its tables, before any data: measured 14 MiB resident.
REDIS_MEMORY_MIN_BYTES = 32 * MIB
# A connected client with its buffers: judgement, after Redis's own figure for an idle client.
REDIS_CLIENT_BYTES = 20 * 1024
REDIS_CLIENTS_SHARE = 1 / 8
REDIS_CLIENTS_MIN = 256
# What stops without data to write stops within a second: judgement.
REDIS_GRACE_SECONDS = 10
# The log's last second is flushed, also by a slow disk: judgement.
QUEUE_GRACE_SECONDS = 30
# A slow network disk; a snapshot is written on the way out: judgement.
REDIS_SNAPSHOT_BYTES_PER_SECOND = 32 * MIB
# A log is replayed before the first command is answered: judgement.
REDIS_START_SECONDS = 3600

# --- the proxy -----------------------------------------------------------------------------------
PROXY_CPU_MILLICORES = 100
PROXY_MEMORY_BYTES = 128 * MIB
PROXY_BODY_BYTES = 10 * MIB
# Cookies and tokens fit, a flood of headers does not: default of nginx.
PROXY_HEADER_BYTES = 8 * 1024
PROXY_HEADER_MIN_BYTES, PROXY_HEADER_MAX_BYTES = 1024, MIB
# An answer's head, and its body in pieces; nginx has half of both by default: judgement.
PROXY_BUFFER_BYTES = 8 * 1024
PROXY_BUFFERS = 16
# Most bodies of requests are JSON of a few KiB; larger ones are written to a file: judgement.
PROXY_BODY_BUFFER_BYTES = 64 * 1024
# What a slow client may leave in a file, of an answer that is read at once: judgement.
PROXY_ANSWER_FILE_BYTES = 64 * MIB
# Default of nginx; connections spread again over the app's pods.
PROXY_UPSTREAM_REQUESTS = 1000
# A client that takes nothing for so long is gone; half of nginx's default: judgement.
PROXY_SEND_TIMEOUT_SECONDS = 30
# nginx that reloads or ends closes idle connections at once, just as the next request may be on its
# way; those that were in use so lately get that request answered first: judgement.
PROXY_CLIENT_KEEP_ALIVE_MIN_SECONDS = 10
PROXY_CONNECTIONS_MIN = 4096
# Of two pods one has ended, and kube-proxy, which picks at random, has not heard of it: so many
# connections in a row are refused once in a thousand times: judgement.
PROXY_UPSTREAM_TRIES = 10
# A proxied request takes two connections, and clients keep some idle. An idle one takes half a KiB,
# so that thousands of clients have room, of which most rest: judgement.
PROXY_CONNECTIONS_PER_REQUEST = 4
PROXY_UPSTREAM_KEEP_ALIVE_MIN = 32
# A pod that does not answer a SYN within two seconds is gone; another one is tried: judgement.
PROXY_CONNECT_TIMEOUT_SECONDS = 2
# A client that stops in the middle of a request holds a connection this long: judgement.
PROXY_CLIENT_TIMEOUT_SECONDS = 15
# Streams are silent between events; an hour is the longest that edges allow: judgement.
PROXY_STREAM_TIMEOUT_SECONDS = 3600
# Application load balancers close idle connections after 60 s (default of AWS's).
EDGE_IDLE_TIMEOUT_SECONDS = 60
PROXY_CACHE_BYTES = 256 * MIB
# nginx removes what is too much after the fact, so the directory has more room: judgement.
PROXY_CACHE_VOLUME_SHARE = 1.25
PROXY_CACHE_VOLUME_EXTRA_MIN_BYTES = 64 * MIB
# One MiB of nginx's shared memory holds about 8,000 keys (its documentation).
PROXY_CACHE_KEY_BYTES = 128
# An answer of an API takes about 8 KiB on disk; smaller ones take a block all the same: judgement.
PROXY_CACHE_ANSWER_BYTES = 8 * 1024
# One MiB of nginx's shared memory holds about 8,000 client addresses (its documentation).
PROXY_RATE_CLIENT_BYTES = 128
PROXY_RATE_CLIENTS = 80_000
PROXY_RATE_BURST_FACTOR = 2
PROXY_STATIC_MAX_AGE_SECONDS = 3600
# Scripts, styles and images of one application: judgement.
PROXY_STATIC_BYTES = 512 * MIB
# A compressed answer of less than a packet arrives no sooner: judgement.
PROXY_COMPRESSION_MIN_BYTES = 1024

# --- the operands' pods --------------------------------------------------------------------------
# PgBouncer serves thousands of transactions a second on a tenth of a core: judgement.
POOLER_CPU_MILLICORES = 50
# 1000 clients at a few KiB, and their prepared statements: judgement.
POOLER_MEMORY_BYTES = 128 * MIB
# Redis answers from one thread; the request keeps its place on a busy node: judgement.
REDIS_CPU_MILLICORES = 50
# Copies the static files and ends; its page cache is not counted against it for long: judgement.
COPY_CPU_MILLICORES = 10
COPY_MEMORY_BYTES = 64 * MIB
# The sidecar that reloads a configuration sleeps nearly all the time: judgement.
RELOADER_CPU_MILLICORES = 5
RELOADER_MEMORY_BYTES = 32 * MIB
# The kubelet swaps a mounted ConfigMap within 90 s; a look costs one checksum: judgement.
RELOADER_INTERVAL_SECONDS = 5
# A new password has reached every server: twice what the kubelet and the sidecar need at most.
CREDENTIALS_SETTLE_SECONDS = 2 * (90 + RELOADER_INTERVAL_SECONDS)
# A migration waits for the database, it does not compute: judgement.
MIGRATION_CPU_MILLICORES = 100
MIGRATION_TIMEOUT_SECONDS = 1800
# A lock timeout or a lost connection deserves another try, a wrong statement does not: judgement.
MIGRATION_RETRIES = 2
# A ready pod is reached by all only when every proxy knows its address: a second or two after the
# kubelet does. Until then it counts as unavailable, and no old pod goes for it: judgement.
MIN_READY_SECONDS = 3
# What a pod's log shows when a rollout hangs is worth waiting for: default of Kubernetes.
PROGRESS_DEADLINE_SECONDS = 600
# Two old ReplicaSets are enough to look back: judgement.
REVISIONS_KEPT = 2
# gunicorn's workers touch one empty file each, in memory, since a slow disk would look like a hang.
HEARTBEAT_BYTES = 1 * MIB
# The private scratch space of one pod, beyond which the kubelet evicts it: judgement.
SCRATCH_BYTES = 512 * MIB
# prometheus_client keeps one small mapped file a worker and metric type: judgement.
MULTIPROCESS_METRICS_BYTES = 64 * MIB
# Shared memory of parallel queries; counts against the pod's memory: judgement.
DATABASE_SHARED_MEMORY_BYTES = 128 * MIB
# A fast shutdown writes one checkpoint: judgement.
DATABASE_GRACE_SECONDS = 60
# After a crash the log since the last checkpoint is replayed: judgement.
DATABASE_START_SECONDS = 3600
# A migration waits for a lock this long; every statement behind it waits as well: judgement.
MIGRATION_LOCK_TIMEOUT_SECONDS = 5

# --- observability -------------------------------------------------------------------------------
# A scrape each half minute is all that most of them do: judgement.
EXPORTER_CPU_MILLICORES = 5
# Measured 15 to 22 MiB resident after start; as much again for many statements and codes.
EXPORTER_MEMORY_BYTES = 48 * MIB
SCRAPE_INTERVAL_SECONDS = 30
# Prometheus's default; a shorter interval shortens it.
SCRAPE_TIMEOUT_SECONDS = 10
TRACE_SAMPLE_PERCENT = "5"
SLO_AVAILABILITY_PERCENT = "99.9"
SLO_LATENCY_PERCENT = "99"
# Bounds of http.server.request.duration, as OpenTelemetry advises and the runtime has them.
REQUEST_BUCKETS_MILLISECONDS = (
    5,
    10,
    25,
    50,
    75,
    100,
    250,
    500,
    750,
    1000,
    2500,
    5000,
    7500,
    10000,
)
# Below so many failures in the long window nobody is called, however few requests there were:
# judgement.
SLO_FAILURES_MIN = 10

# --- probes --------------------------------------------------------------------------------------
# Imports take seconds on a throttled core; five minutes end only a start that hangs: judgement.
START_PERIOD_SECONDS = 2
START_ATTEMPTS = 150
READY_PERIOD_SECONDS = 5
READY_ATTEMPTS = 3
# A busy event loop answers late; only a dead one misses six times: judgement.
LIVE_PERIOD_SECONDS = 10
LIVE_ATTEMPTS = 6
PROBE_TIMEOUT_SECONDS = 3
