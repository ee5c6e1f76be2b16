"""Constants that several formulas or builders read, each with its unit and its origin.

``measured`` was measured for this project (see docs/benchmarks.md), ``default of X`` is X's own
documented default, and ``judgement`` is experience that no measurement supports yet.
"""

from decimal import Decimal

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
# More event loops in one pod fail together with it: judgement.
WORKERS_MAX = 8
# Leaves a third of the request for the minute in which new pods start: judgement.
TARGET_CPU_PERCENT = 65
# Half a core keeps one event loop busy at the CPU target of the autoscaler: judgement.
CPU_REQUEST_MILLICORES_PER_WORKER = 500
# The most that an event loop, or another server of one thread, can use.
CPU_LIMIT_MILLICORES_PER_WORKER = 1000

# A worker takes 0.75 s of CPU to import its app (measured). With less than a twentieth of a core
# the start and each probe take many seconds: judgement.
PROCESS_CPU_LIMIT_MIN_MILLICORES = 50
CPU_MIN_MILLICORES = 10
# Above the largest machines that clouds offer (1,920 cores and 32 TiB).
CPU_MAX_MILLICORES = 4_096_000
MEMORY_MAX_BYTES = 64 * 1024 * GIB
# Resident memory of a worker after its start, without growth: measured.
WORKER_MEMORY_MIN_BYTES = 80 * MIB
# A process that is forked shares the imported modules with its parent: judgement.
FORKED_MEMORY_MIN_BYTES = 20 * MIB
# Threads of one process share the interpreter, so more pools only keep memory. An app with 40
# threads that parse JSON grew from 48 to 59 MiB with 1, 61 with 2 and 69 with 4 (measured).
MALLOC_ARENAS = 2
# The largest spec.server.workers.
WORKERS_SET_MAX = 64

# --- background processes and schedules ----------------------------------------------------------
# A task waits most of the time, for example for a database or a mail server: judgement.
PROCESS_CPU_MILLICORES = 250
# One for the task, one for work that it starts: judgement.
PROCESS_CONNECTIONS = 2
# A worker that does a task each second catches up within ten: judgement.
TASKS_PER_PROCESS = 10
# KEDA's default of 30 s would be the start of the first task; a look is one small request.
QUEUE_POLL_SECONDS = 10
# A process that cannot start fails within seconds of its imports. The next pod of a rollout waits
# for that: judgement.
BACKGROUND_MIN_READY_SECONDS = 10
# A liveness command starts an interpreter: seconds of CPU, so it runs rarely: judgement.
COMMAND_PROBE_PERIOD_SECONDS = 30
COMMAND_PROBE_TIMEOUT_SECONDS = 15
COMMAND_PROBE_ATTEMPTS = 4
COMMAND_START_PERIOD_SECONDS = 10
COMMAND_START_ATTEMPTS = 30
# Cluster downtime makes a run late; after an hour the next run is closer for most: judgement.
SCHEDULE_DEADLINE_SECONDS = 3600
# Kubernetes' defaults: enough runs to read the logs of.
SUCCEEDED_RUNS_KEPT, FAILED_RUNS_KEPT = 3, 1

# --- requests ------------------------------------------------------------------------------------
# Used if spec.traffic does not set them: judgement.
CPU_MILLISECONDS_PER_REQUEST = 2
P95_MILLISECONDS = 50
# A few queries by index: judgement.
DATABASE_MILLISECONDS_PER_REQUEST = 5
# Requests that one event loop holds at once if their cost is unknown: judgement.
CONCURRENCY_UNKNOWN = 32
CONCURRENCY_MIN, CONCURRENCY_MAX = 16, 1000
# Share of one core that an event loop can spend on requests before queues grow: judgement.
LOOP_BUSY = 0.85
FLEET_BUSY = 0.60
# Shed at twice the requests that one loop sustains (Little's law; Netflix): judgement.
SHED_FACTOR = 2
# The requests in flight of a process are its queue. So much of its time is long enough for a pause
# of half a second at half of its capacity, as when pods start beside it, and short enough for
# clients: with uvloop the p99 is about twice the queue (measured).
QUEUE_SECONDS = 0.25
# However long requests wait, a process admits so many. As high as the limit of a process whose load
# is unknown, so that the limit does not follow waits there: with 16, processes rejected 154 of
# 44,836 requests of a load that their pods carry, while the pods of a canary started beside them.
IN_FLIGHT_MIN = 64

# Default of AnyIO's thread limiter.
THREADS_DEFAULT = 40
THREADS_MIN, THREADS_MAX = 8, 100
THREADS_MARGIN = 1.25

# --- measurements --------------------------------------------------------------------------------
# Fewer requests show a mean or a percentile badly: see the table of needs. Judgement.
MEASURED_REQUESTS_MIN = 1000
# After so many requests of a worker its heap is warm: judgement.
MEASURED_WARM_REQUESTS = 10_000
# An idle worker takes about 0.5 % of a core (probes, metrics, its own lag): a tenth of this.
MEASURED_BUSY_MIN = 0.05
# Beyond one in a thousand, requests were rejected, and others waited nearly as long: judgement.
MEASURED_SHED_SHARE_MAX = 0.001
# If a call waits for a thread all the time, threads are what requests queue for: judgement.
MEASURED_THREADS_WAITING_MIN = 1.0
MEASURED_MEMORY_STEP_BYTES = 8 * MIB
# The least CPU request of a worker, however idle: starting takes 0.75 s of CPU. Judgement.
CPU_REQUEST_MIN_MILLICORES_PER_WORKER = 100
# Measurements are no better than a tenth, so smaller changes are not recommended: judgement.
GAIN_MIN = 0.10
# A fact of the spec that differs from its measurement by so much is reported: noise is an eighth.
CONTRADICTED = 0.25
# A recommendation stays until it is worth less than this, so that noise does not remove it.
GAIN_KEPT_MIN = 0.05
# The operator recommends nothing before it has seen nearly a day with its peak: judgement.
OBSERVED_SECONDS_MIN = 20 * 3600
# A week, but for its gaps, and ten times the needed requests: judgement.
CONFIDENT_SECONDS = 6 * 86_400
CONFIDENT_FACTOR = 10

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
# granian has one bound for reading the head of a request and for an idle connection: measured.
GRANIAN_KEEP_ALIVE_MAX_SECONDS = 60
# Default of granian for one worker.
GRANIAN_CONNECTIONS_MIN = 1024

# --- scaling -------------------------------------------------------------------------------------
REPLICAS_MIN = 2
REPLICAS_MAX_UNKNOWN = 10
# The largest spec.scaling.maxReplicas.
REPLICAS_SET_MAX = 1000
# Twice the pods that the peak needs, for one failed zone and growth: judgement.
REPLICAS_HEADROOM = 2
# Kubernetes rounds a percentage up; one pod more at a time keeps the budget small: judgement.
SURGE_PERCENT = 25
# Share of the sustained requests that the autoscaler aims at: Knative's target utilization.
IN_FLIGHT_FILL = 0.7

# --- canary --------------------------------------------------------------------------------------
# Shares of the requests in percent, and the least and longest time of each: judgement.
CANARY_STEPS = (5, 25, 50)
CANARY_STEP_SECONDS = 60
CANARY_REQUESTS = 200
CANARY_WAIT_SECONDS = 3600
# The burn rate of the alert that pages a person first: see observability/slo.py.
SLO_PAGE_RATE = Decimal("14.4")

# --- PostgreSQL ----------------------------------------------------------------------------------
# A primary and two replicas: CloudNativePG's own examples.
REPLICATED_INSTANCES = 3
# Nightly, off the full hour at which most other jobs start: judgement.
BACKUP_SCHEDULE = "17 2 * * *"
# A dump of a large database takes hours: judgement.
BACKUP_TIMEOUT_SECONDS = 6 * 3600
BACKUP_RETRIES = 2
# The least that a shell and one small program need to start: judgement.
CONTAINER_MEMORY_MIN_BYTES = 16 * MIB
# A migration waits for the database and computes little: judgement.
MIGRATION_CPU_MILLICORES = 100
# The pod that checks a new image: one import. With a small request it finds room on most nodes, and
# it may use idle CPU: judgement.
PREFLIGHT_CPU_MILLICORES = 50
PREFLIGHT_MEMORY_BYTES = 64 * MIB
# The largest memory limit of a running pod, as a multiple of that of a new one: judgement.
RESIZED_MEMORY_FACTOR = 2
# The sidecar of a migration runs one short query a second: judgement.
MIGRATION_CHECKS_CPU_MILLICORES = 10
MIGRATION_CHECKS_MEMORY_BYTES = 64 * MIB
# If the database does not respond, the sidecar ends, so that its status has the error: judgement.
MIGRATION_CONNECT_ATTEMPTS = 5
MIGRATION_CHECK_SECONDS = 5
# More than all attempts take.
MIGRATION_START_SECONDS = 2 * MIGRATION_CONNECT_ATTEMPTS * (2 * MIGRATION_CHECK_SECONDS + 1)
# A termination message has at most 4096 bytes.
MIGRATION_PROBLEMS_REPORTED = 5
# A restore reads a dump to its end before the database serves: judgement.
RESTORE_START_SECONDS = 24 * 3600
# Connections that execute at once: 2 x cores + 1 disk (PostgreSQL wiki), doubled for transactions
# that wait for the app; at least 10.
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
# Share of the open connections that the pooler may use. While its pods are replaced, the old pods
# keep the other half until their clients have gone.
POOLER_SHARE = 0.50
# Share that the app's own pools may use: judgement.
DIRECT_SHARE = 0.90
# If few connections are granted, a fifth is reserved instead of eight: judgement.
RESERVED_SHARE = 0.20
# max_connections: PostgreSQL's default.
MAX_CONNECTIONS_DEFAULT = 100
# pgtune's formulas for type "web" (its source of 2026-07-30).
SHARED_BUFFERS_SHARE = 1 / 4
EFFECTIVE_CACHE_SHARE = 3 / 4
MAINTENANCE_SHARE = 1 / 16
MAINTENANCE_MAX_BYTES = 8 * GIB
WORK_MEMORY_MIN_BYTES = 4 * MIB
WORK_MEMORY_DIVISOR = 3
WORKER_PROCESSES_DEFAULT = 8
# The largest max_parallel_workers of PostgreSQL.
WORKER_PROCESSES_MAX = 1024
# pgtune's write-ahead log for type "web", if the volume has room for it.
WAL_MAX_BYTES = 4 * GIB
WAL_MIN_SHARE = 1 / 4
# A late checkpoint lets the log exceed its bound; nine tenths remain for data: judgement.
WAL_VOLUME_SHARE = 1 / 10
# PostgreSQL needs two segments of 16 MiB at least; this keeps checkpoints apart.
WAL_LEAST_BYTES = 256 * MIB

# PostgreSQL itself, with a few backends at 10 MiB: judgement.
POSTGRES_MEMORY_MIN_BYTES = 128 * MIB
# Four times the least write-ahead log: judgement.
POSTGRES_STORAGE_MIN_BYTES = GIB
# The least and the largest volume: judgement.
STORAGE_MIN_BYTES = 64 * MIB
STORAGE_MAX_BYTES = 1024 * 1024 * GIB
# PostgreSQL counts both in an int of pages of 8 KiB.
SHARED_BUFFERS_MAX_BYTES = 2**30 * 8 * 1024 - MIB
EFFECTIVE_CACHE_MAX_BYTES = 2**31 * 8 * 1024 - MIB
# PostgreSQL accepts 262,143 with its other processes, and each takes shared memory: judgement.
SERVICE_CONNECTIONS_MAX = 100_000

# --- the ports of further entries: no program of a proxy pod has one of them ----------------------
ENTRY_PORT_FIRST = 20_000
ENTRY_PORTS = 10_000

# --- the timeouts: pool < pooler queue < statement < proxy < Gateway ------------------------------
POOL_TIMEOUT_SECONDS = 5
QUERY_WAIT_TIMEOUT_SECONDS = 10
STATEMENT_TIMEOUT_SECONDS = 15
IDLE_IN_TRANSACTION_SECONDS = 30
PROXY_READ_TIMEOUT_SECONDS = 30
# A Gateway waits this much longer than what is behind it: judgement.
GATEWAY_MARGIN_SECONDS = 5
POOL_RECYCLE_SECONDS = 600
# Without a pooler connections need not spread again; the age bounds the caches of a backend.
DIRECT_POOL_RECYCLE_SECONDS = 1800
# With fewer than three connections a process waits for itself; use a pooler: judgement.
DIRECT_POOL_MIN = 3
POOL_MARGIN = 1.5

# --- PgBouncer -----------------------------------------------------------------------------------
# max_client_conn grows in such steps, since a change of memory is a rollout: judgement.
POOLER_CLIENTS_STEP = 1000
# One thread serves all clients of an instance: judgement.
POOLER_CLIENTS_MAX = 10_000
# Measured 6 KiB for a client that waits. The rest is for the names of max_prepared_statements: 120
# bytes each (judgement).
POOLER_CLIENT_BYTES = 32 * 1024
# The server itself, its server connections and the first step of clients: judgement.
POOLER_MEMORY_BYTES = 128 * MIB
# The largest spec.postgres.pooler.instances.
POOLER_INSTANCES_MAX = 16
POOLER_DEFAULT_SHARE = 0.75
POOLER_RESERVE_TIMEOUT_SECONDS = 2

# --- Redis ---------------------------------------------------------------------------------------
# A quarter for buffers and fragmentation; one managed provider ships the same share.
CACHE_FILL = 0.75
# A snapshot is written by a fork; pages that change meanwhile exist twice: judgement.
CACHE_FILL_PERSISTENT = 0.60
# The old snapshot and the one that replaces it.
CACHE_SNAPSHOTS = 2
CACHE_POOL_MAX = 50
CACHE_CLIENTS_EXTRA = 32
# Connections of an external server if spec.redis.maxClients is not set: judgement.
CACHE_CLIENTS_EXTERNAL = 1000
CACHE_TIMEOUT_SECONDS = 0.25

# A rewrite of the log forks; under writes everywhere each page is copied once: judgement.
QUEUE_FILL = 0.50
# The log may hold twice the data before it is rewritten, and the new one exists beside it. As
# text it is as large as in memory (measured: 0.97 to 1.03 times, messages of 100 to 10,000
# bytes). The rest is for messages that arrive meanwhile.
QUEUE_LOG_COPIES = 8
QUEUE_LOG_COPIES_MIN = 4

# The server itself, its code and its tables, before any data: measured 14 MiB resident.
REDIS_MEMORY_MIN_BYTES = 32 * MIB
# A connected client with its buffers: judgement, after Redis's own figure for an idle client.
REDIS_CLIENT_BYTES = 20 * 1024
REDIS_CLIENTS_SHARE = 1 / 8
REDIS_CLIENTS_MIN = 256
# Each client takes a file descriptor, of which container runtimes allow half a million: judgement.
REDIS_CLIENTS_MAX = 100_000
# One thread serves the data, and a snapshot forks it: judgement.
REDIS_MEMORY_MAX_BYTES = 1024 * GIB
# A server without data to write stops within a second: judgement.
REDIS_GRACE_SECONDS = 10
# A slow network disk, for the snapshot at a stop: judgement.
REDIS_SNAPSHOT_BYTES_PER_SECOND = 32 * MIB
# The log is replayed before the server is ready: judgement.
REDIS_START_SECONDS = 3600

# --- the proxy -----------------------------------------------------------------------------------
PROXY_CPU_MILLICORES = 100
PROXY_MEMORY_BYTES = 128 * MIB
PROXY_HEADER_MIN_BYTES, PROXY_HEADER_MAX_BYTES = 1024, MIB
# More than the usual limit of open files permits at least: judgement.
PROXY_CONNECTIONS_MIN, PROXY_CONNECTIONS_MAX = 8192, 16384
# The kubelet, Prometheus and connections on which no request has arrived yet: judgement.
PROXY_CONNECTIONS_RESERVED = 512
# If one of two pods has ended and kube-proxy still picks at random, so many connections in a row
# are refused once in a thousand times: judgement.
PROXY_SERVICE_TRIES = 10
# More than a pod may fail in a row, since Caddy can try a pod again: judgement.
PROXY_POD_TRIES = 5
# A request takes a connection of its client and one to the app; clients keep idle ones, which nginx
# closes if it needs them: judgement.
PROXY_CONNECTIONS_PER_REQUEST = 2
PROXY_IDLE_FACTOR = 2
# An idle stream costs a worker about 50 KiB and no CPU: judgement.
PROXY_STREAMS_PER_WORKER = 1000
# As in the runtime, whose process admits so many more requests with priority: judgement.
PRIORITY_SHARE = 1 / 2
# Two connections of nginx and a buffer of 8 KiB: judgement.
PROXY_STREAM_BYTES = 16 * 1024
# Part of a proxy's requests that one client may have in progress: judgement.
PROXY_CLIENT_SHARE = 1 / 8
# Memory for bodies that arrive slowly: judgement.
PROXY_BODIES_BYTES = 64 * MIB
PROXY_UPSTREAM_KEEP_ALIVE_MIN = 32
# Application load balancers close idle connections after 60 s (default of AWS's).
EDGE_IDLE_TIMEOUT_SECONDS = 60
# nginx removes the excess afterwards, so the directory has more room: judgement.
PROXY_CACHE_VOLUME_SHARE = 1.25
PROXY_CACHE_VOLUME_EXTRA_MIN_BYTES = 64 * MIB
# One MiB of nginx's shared memory holds about 8,000 keys (its documentation).
PROXY_CACHE_KEY_BYTES = 128
# A response of an API takes about 8 KiB on disk, and a smaller one takes a block: judgement.
PROXY_CACHE_ANSWER_BYTES = 8 * 1024
# One MiB of nginx's shared memory holds about 8,000 client addresses (its documentation).
PROXY_RATE_CLIENT_BYTES = 128
PROXY_RATE_CLIENTS = 80_000
PROXY_RATE_BURST_FACTOR = 2
# Memory of nginx for the numbers of its metrics, and for one with its key: about 130 bytes, which
# nginx rounds up. Five methods with ten statuses each have at most 800 numbers, and a step of a
# canary 300.
PROXY_COUNTS_BYTES, PROXY_COUNT_BYTES = 2 * MIB, 256

# --- the operands' pods --------------------------------------------------------------------------
# A container that copies the static files and ends: judgement.
COPY_CPU_MILLICORES = 10
COPY_MEMORY_BYTES = 64 * MIB
# The sidecar that reloads a configuration sleeps nearly all the time: judgement.
RELOADER_CPU_MILLICORES = 5
RELOADER_MEMORY_BYTES = 32 * MIB
# The kubelet swaps a mounted ConfigMap within 90 s; a check costs one checksum: judgement.
RELOADER_INTERVAL_SECONDS = 5
RELOAD_SECONDS = 90 + RELOADER_INTERVAL_SECONDS
# Controllers give a changed HTTPRoute to their proxies within seconds: judgement.
ROUTE_SECONDS = 15
# Before Caddy reloads or ends, each response announces the end of its connection for so long. Busy
# connections are used within this time, and meanwhile each request opens its own: judgement.
CADDY_ANNOUNCE_SECONDS = 3
# Until a new password has reached every server: twice the longest time of kubelet and sidecar.
CREDENTIALS_SETTLE_SECONDS = 2 * RELOAD_SECONDS
# Every kube-proxy knows the address of a ready pod a second or two after the kubelet. Until then
# the pod counts as unavailable, and no old pod is stopped for it: judgement.
MIN_READY_SECONDS = 3
# After that, until the service's proxy knows the first pods: DNS keeps an answer for 5 s, nginx
# asks each 2 s, and the times of Kubernetes have whole seconds: judgement.
ADDRESS_SECONDS = 6
# A rollout without progress for so long has failed: default of Kubernetes.
PROGRESS_DEADLINE_SECONDS = 600
# Two old ReplicaSets are enough to compare: judgement.
REVISIONS_KEPT = 2
# gunicorn's workers touch one empty file each, in memory, since a slow disk would look like a hang.
HEARTBEAT_BYTES = 1 * MIB
# The private scratch space of one pod, beyond which the kubelet evicts it: judgement.
SCRATCH_BYTES = 512 * MIB
# prometheus_client keeps one small mapped file a worker and metric type: judgement.
MULTIPROCESS_METRICS_BYTES = 64 * MIB
# After a crash the log since the last checkpoint is replayed: judgement.
DATABASE_START_SECONDS = 3600

# --- observability -------------------------------------------------------------------------------
# Prometheus's default; a shorter interval shortens it.
SCRAPE_TIMEOUT_SECONDS = 10
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
# An alert needs so many failures in the long window, however few requests there were: judgement.
SLO_FAILURES_MIN = 10

# --- probes --------------------------------------------------------------------------------------
# Imports take seconds on a throttled core. Five minutes end only a start that hangs: judgement.
START_PERIOD_SECONDS = 2
START_ATTEMPTS = 150
READY_PERIOD_SECONDS = 5
READY_ATTEMPTS = 3
# A busy event loop responds late. Only a dead one misses six probes: judgement.
LIVE_PERIOD_SECONDS = 10
LIVE_ATTEMPTS = 6
# The runtime reports an event loop that has been stuck for 20 s, from a thread of its own; the
# process is then restarted about as soon as without the runtime: judgement.
RUNTIME_LIVE_ATTEMPTS = 3
PROBE_TIMEOUT_SECONDS = 3
