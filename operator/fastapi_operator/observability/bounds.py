"""Thresholds of signals, shared by alerts, dashboards and diagnoses.

If a value has no source, it is a judgement: a healthy service stays below half of it.
"""

# --- the app -------------------------------------------------------------------------------------
# Event loop lag (p99) that clients notice.
LOOP_LAG_BLOCKED_SECONDS = 0.1
LOOP_LAG_BUSY_SECONDS = 0.05
# If waiting for a CPU explains this share of the event loop's lag, it is the cause.
STARVED_SHARE = 0.5
# Cores per worker: below the first, it mostly waits; above the second, it only computes.
WORKER_CPU_IDLE = 0.5
WORKER_CPU_BUSY = 0.85
# If threads are the bottleneck, the CPU is below this.
THREADS_CPU_MAX = 0.6
THREADS_USED = 0.95
# CPU of the busiest pod divided by the mean; and the total cores below which it means nothing.
UNEVEN_FACTOR = 1.6
UNEVEN_CORES = 0.3
# Share of throttled periods: kubernetes-mixin alerts above the first; the second is enough to
# explain event loop lag.
THROTTLED = 0.25
THROTTLED_SOME = 0.05
POOL_WAIT_SECONDS = 0.02
MEMORY_USED = 0.9
# Growth of resident memory per hour, over a day, relative to its mean.
LEAK_PER_HOUR = 0.01
SHED = 0.01
# However many requests are rejected, doctor proposes at most so many times the pods.
OVERLOAD_FACTOR_MAX = 4
SERVER_ERRORS = 0.05
# With fewer failures per second, a single client may cause them all.
SERVER_ERRORS_PER_SECOND = 0.1
PROXY_ERRORS = 0.005
PROXY_ERRORS_PER_SECOND = 0.05

# --- dashboards: used shares, first yellow, then red ---------------------------------------------
PART_USED_MUCH = 0.7
PART_USED_UP = 0.9

# --- pooler and database -------------------------------------------------------------------------
POOLER_WAIT_SECONDS = 0.5
POOLER_CLIENTS_USED = 0.8
# PgBouncer has one thread.
POOLER_CPU_CORES = 0.8
# Executing statements per core: above it they share cores and each takes longer.
DATABASE_ACTIVE_PER_CORE = 4
# A statement that waits for one of these events uses no CPU.
DATABASE_IDLE_WAITS = frozenset({"Activity", "Client", "Extension", "IPC", "Lock", "Timeout"})
DATABASE_CPU_USED = 0.85
DATABASE_CONNECTIONS_USED = 0.85
SCANNED_ROWS = 10_000
SCANS_PER_SECOND = 0.1
# Mean time of a statement below which an index saves too little.
INDEX_STATEMENT_SECONDS = 0.001
# The planner's cost with an index, divided by that without.
INDEX_COST_FACTOR = 0.5
# Mean number of executing statements that an index saves.
INDEX_EFFECT_MIN = 0.001
VOLUME_FREE = 0.15
VOLUME_FREE_LAST = 0.05
# In intervals of the schedule: one run may fail.
BACKUP_AGE_INTERVALS = 2.5

# --- cache and queue -----------------------------------------------------------------------------
CACHE_HITS = 0.7
# With fewer lookups per second, the ratio means nothing.
CACHE_LOOKUPS_PER_SECOND = 1
# Mean time of a command inside the server; most take some tens of microseconds.
CACHE_COMMAND_SECONDS = 0.005
# A cache call of the app, p95; above it a cache is not worthwhile.
CACHE_SLOW_SECONDS = 0.02
# Loads from the database per removed key: with more, several requests load it at once.
STAMPEDE_LOADS = 5
QUEUE_MEMORY_USED = 0.8
QUEUE_MEMORY_USED_LAST = 0.95

# --- a canary ------------------------------------------------------------------------------------
# Far above what the judge of the operator permits: these fire if it does not act.
CANARY_ERRORS = 0.05
CANARY_ERRORS_FACTOR = 5

# --- autoscaling and the operator ----------------------------------------------------------------
# Changes of the desired replicas within an hour, and the downward ones among them.
SCALINGS_PER_HOUR = 4
SCALINGS_DOWN_PER_HOUR = 2
OPERATOR_QUEUE_WAIT_SECONDS = 60
FAILED_PASSES = 5
DRIFT_WRITES = 10

# --- a diagnosis of half a minute ----------------------------------------------------------------
# A late event loop makes other waits look longer by at most this factor.
BLUR_FACTOR = 3
# Mean number of calls that wait for a thread; and a large share of busy threads.
THREADS_WAITING = 0.5
THREADS_MANY = 0.5
# The time for which a connection is held, divided by that of its statements.
HELD_FACTOR = 3
# Mean number of clients that wait in the pooler.
POOLER_WAITING = 0.25
# Mean number of requests that load a missing key; below it, the cache is only filling.
CACHE_LOADS = 0.02
# With fewer calls in a window, a few slow ones determine the p95.
CACHE_CALLS_MIN = 100
CACHE_FAILED_SHARE = 0.01
# Share of events in the busiest quarter of the window; it is 0.25 for even traffic.
BURST_SHARE = 0.6
EVEN_SHARE = 0.4
BURST_PER_SECOND = 20
# The largest share of occasional 502; above it the app is not available.
BAD_GATEWAY_SHARE = 0.2
BAD_GATEWAYS_MIN = 3
# The increase that a rule proposes.
STEP_FACTOR = 1.25
# A slow p95 without an SLO or a declared value; and as a factor of the declared value.
SLOW_SECONDS = 1.0
SLOW_FACTOR = 4
# With fewer requests in a window, its quantiles mean nothing.
REQUESTS_MIN = 20
# A pod is an outlier if its p95 exceeds both this factor of the others and these seconds.
POD_FACTOR = 3
POD_SECONDS = 0.05
