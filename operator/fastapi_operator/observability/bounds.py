"""From where on a signal means trouble; alerts, thresholds on dashboards and diagnoses share them.

Judgement where no source is named: set so that a healthy service stays below by half.
"""

# --- the app -------------------------------------------------------------------------------------
# The loop wakes tasks so much later than asked that a client feels it, p99.
LOOP_LAG_BLOCKED_SECONDS = 0.1
LOOP_LAG_BUSY_SECONDS = 0.05
# Share of the event loop's lateness that waiting for a CPU must explain to be its cause.
STARVED_SHARE = 0.5
# Of one core, by one worker: below, it waits and does not compute; above, it does nothing else.
WORKER_CPU_IDLE = 0.5
WORKER_CPU_BUSY = 0.85
# While threads are the bottleneck the cores are not.
THREADS_CPU_MAX = 0.6
THREADS_USED = 0.95
# CPU of the busiest pod against the mean, and cores in all below which it says nothing.
UNEVEN_FACTOR = 1.6
UNEVEN_CORES = 0.3
# Throttled periods among all: kubernetes-mixin alerts from a quarter on, and lag is explained by a
# twentieth already.
THROTTLED = 0.25
THROTTLED_SOME = 0.05
POOL_WAIT_SECONDS = 0.02
MEMORY_USED = 0.9
# Growth of resident memory in an hour, for a day, as a share of itself.
LEAK_PER_HOUR = 0.01
SHED = 0.01
SERVER_ERRORS = 0.05
# Fewer failures a second are one client's bad luck.
SERVER_ERRORS_PER_SECOND = 0.1
PROXY_ERRORS = 0.005
PROXY_ERRORS_PER_SECOND = 0.05

# --- pooler and database -------------------------------------------------------------------------
POOLER_WAIT_SECONDS = 0.5
POOLER_CLIENTS_USED = 0.8
# PgBouncer has one thread.
POOLER_CPU_CORES = 0.8
# Running statements a core: beyond, they share cores and each takes longer.
DATABASE_ACTIVE_PER_CORE = 4
# A statement that waits for one of these uses no core.
DATABASE_IDLE_WAITS = frozenset({"Activity", "Client", "Extension", "IPC", "Lock", "Timeout"})
DATABASE_CPU_USED = 0.85
DATABASE_CONNECTIONS_USED = 0.85
SCANNED_ROWS = 10_000
SCANS_PER_SECOND = 0.1
VOLUME_FREE = 0.15
VOLUME_FREE_LAST = 0.05
# Times the interval of the schedule: one run may fail.
BACKUP_AGE_INTERVALS = 2.5

# --- cache and queue -----------------------------------------------------------------------------
CACHE_HITS = 0.7
# Fewer lookups a second say nothing of the ratio.
CACHE_LOOKUPS_PER_SECOND = 1
# Mean time of a command inside the server; most take some tens of microseconds.
CACHE_COMMAND_SECONDS = 0.005
# A cache call of the app, p95, in seconds; above it the detour is not worth while.
CACHE_SLOW_SECONDS = 0.02
# Loads from the database for each key that went: more than one or two ask for it together.
STAMPEDE_LOADS = 5
QUEUE_MEMORY_USED = 0.8
QUEUE_MEMORY_USED_LAST = 0.95

# --- autoscaling and the operator ----------------------------------------------------------------
# Changes of the wanted replicas in an hour, and how many of them were downwards.
SCALINGS_PER_HOUR = 4
SCALINGS_DOWN_PER_HOUR = 2
OPERATOR_QUEUE_WAIT_SECONDS = 60
FAILED_PASSES = 5
DRIFT_WRITES = 10

# --- a diagnosis of half a minute ----------------------------------------------------------------
# A late event loop lets other waits look so much longer at most.
BLUR_FACTOR = 3
# Calls that wait for a thread, on average; and threads at work that are many.
THREADS_WAITING = 0.5
THREADS_MANY = 0.5
# How much longer a connection is held than its statements take.
HELD_FACTOR = 3
# Clients that wait in the pooler, on average.
POOLER_WAITING = 0.25
# Requests that load what the cache did not have, on average; fewer are a cache that fills.
CACHE_LOADS = 0.02
# Of fewer calls in a window a few slow ones are their p95.
CACHE_CALLS_MIN = 100
CACHE_FAILED_SHARE = 0.01
# Share of events in the busiest quarter of the window; even traffic has a quarter.
BURST_SHARE = 0.6
EVEN_SHARE = 0.4
BURST_PER_SECOND = 20
# 502 that come now and then; above it the app is away.
BAD_GATEWAY_SHARE = 0.2
BAD_GATEWAYS_MIN = 3
# What a rule proposes: a quarter more.
STEP_FACTOR = 1.25
# A p95 that is slow where nothing is promised or declared, in seconds; and beside what is declared.
SLOW_SECONDS = 1.0
SLOW_FACTOR = 4
# Fewer requests in a window tell nothing of its quantiles.
REQUESTS_MIN = 20
# A pod whose p95 is so much above that of the others, and at least so many seconds, stands out.
POD_FACTOR = 3
POD_SECONDS = 0.05
