"""The parts of a service: one enum that names files, plan sections, labels and conditions."""

from enum import StrEnum


class Part(StrEnum):
    """A part of a provisioned service; its value is the component label of its objects."""

    APP = "app"
    BACKGROUND = "background"
    SCHEDULES = "schedules"
    PROXY = "proxy"
    CACHE = "cache"
    QUEUE = "queue"
    DATABASE = "database"
    BACKUP = "backup"
    POOLER = "pooler"
    MIGRATION = "migration"
    EXPOSURE = "exposure"
    AUTOSCALING = "autoscaling"
    NETWORK = "network"
    OBSERVABILITY = "observability"

    @property
    def condition(self) -> str:
        """The type of the status condition that tells whether this part is ready."""
        return _CONDITIONS[self]


_CONDITIONS = {
    Part.APP: "ApplicationReady",
    Part.BACKGROUND: "BackgroundReady",
    Part.SCHEDULES: "SchedulesReady",
    Part.PROXY: "ProxyReady",
    Part.CACHE: "CacheReady",
    Part.QUEUE: "QueueReady",
    Part.DATABASE: "DatabaseReady",
    Part.BACKUP: "BackupReady",
    Part.POOLER: "PoolerReady",
    Part.MIGRATION: "MigrationsReady",
    Part.EXPOSURE: "ExposureReady",
    Part.AUTOSCALING: "AutoscalingReady",
    Part.NETWORK: "NetworkReady",
    Part.OBSERVABILITY: "ObservabilityReady",
}
