"""The test files that take longest, which workers get first.

A worker runs a file as a whole. pytest-xdist begins with the files of most tests, and would end
with one worker in a long file of few tests while the others have nothing left to do.
"""

from pathlib import Path

_TESTS = Path(__file__).resolve().parent
# Below tests/, roughly the longest first; a file of less than about ten seconds need not be here.
LONG_FILES = (
    "api/test_random_edits.py",
    "api/test_faults.py",
    "api/test_canary.py",
    "api/test_children.py",
    "api/test_status.py",
    "api/test_rights_used.py",
    "api/test_rotation.py",
    "api/test_dead_operator.py",
    "api/test_observation.py",
    "api/test_benchmark.py",
    "api/test_readiness.py",
    "api/test_exposure.py",
    "api/test_watch.py",
    "api/test_one_migration.py",
    "api/test_process.py",
    "api/test_tuning.py",
    "api/test_canary_metrics.py",
    "api/test_rollout_commands.py",
    "api/test_deploy.py",
    "api/test_access.py",
    "api/test_database_identity.py",
    "api/test_leak_guard.py",
    "api/test_upgrades.py",
    "api/test_migrations.py",
    "api/test_random_pieces.py",
    "api/test_references.py",
    "api/test_ownership.py",
    "api/test_commands.py",
    "api/test_looking.py",
    "api/test_true_status.py",
    "api/test_processes.py",
    "api/test_published_settings.py",
    "api/test_autoscaling.py",
    # Tests of servers wait, so they take turns with those that compute.
    "unit/resources/test_nginx_versions.py",
    "unit/tuning/test_properties.py",
    "unit/resources/test_nginx_balancing.py",
    "unit/reconcile/test_tuning_step_weeks.py",
    "mutate/test_mutate.py",
    "unit/resources/test_migration_checks.py",
    "unit/cli/test_init_properties.py",
    "unit/resources/test_caddy.py",
    "unit/tuning/test_measurements.py",
    "unit/resources/test_nginx.py",
    "unit/cli/test_init_layouts.py",
    "unit/resources/test_database.py",
    "unit/resources/test_templates.py",
    "unit/resources/test_servers.py",
    "unit/tuning/test_invariants.py",
    "unit/resources/test_nginx_features.py",
    "unit/tuning/test_independence.py",
    "unit/api/test_corpus.py",
    "unit/observability/test_alerts.py",
    "unit/observability/test_slo.py",
    "docs/test_blocks.py",
    "charts/test_install.py",
    "charts/test_policies.py",
    "charts/test_judges.py",
    "docs/test_site.py",
)
_POSITIONS = {_TESTS / name: position for position, name in enumerate(LONG_FILES)}


def position(path: Path) -> int:
    """Returns the place of a test file in the order; all files that are not listed share one."""
    return _POSITIONS.get(path, len(LONG_FILES))
